#include "cli/held_packs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cli/pack_writer.h"

namespace sallyport::cli {

Result<void> carry_held(const std::string& directory, const evidence::PrunePlan::Session& session) {
  const auto folder = directory + "/held", path = folder + "/" + hex(session.id) + ".zip";
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return evidence::system_failure("cannot make " + folder, errno);
  TRY_VOID(evidence::sync_folder(directory));
  if (::access(path.c_str(), F_OK) == 0) return {};
  TRY(const auto head, evidence::LogView(directory).head(0));
  if (head.checkpoint.size <= session.last) return fail(ErrorKind::Unavailable, "no head that counts covers session " + hex(session.id) + " yet; try again");
  TRY(const auto reader, evidence::Reader::open(directory));
  PackQuestion question;
  question.query.sessions = {hex(session.id)};
  question.query.payloads = "sealed";
  question.query.fields = "sealed";
  question.from_index = session.first;
  question.to_index = session.last + 1;
  question.query.from_index = std::to_string(session.first);
  question.query.to_index = std::to_string(session.last + 1);
  TRY([[maybe_unused]] const auto plan, make_pack(reader, std::move(question), {path, "sallyport 0.1.0", std::make_shared<evidence::FileOps>(), {}}));
  return {};
}

}  // namespace sallyport::cli
