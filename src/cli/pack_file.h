#pragma once
// A pack's zip being written: members one after the other into PATH.part, and in PATH.part.journal what is whole and on the disk,
// so that an export that was cut off goes on where it was. Nothing of a member is kept in memory but a buffer; the
// central directory is made of the journal. Format: docs/formats/pack.md; the bytes are verify/zip_form's.
// Errors: Unavailable (files). Main thread.
#include <fstream>
#include <functional>
#include <memory>
#include <optional>

#include "evidence/file_ops.h"
#include "verify/manifest.h"
#include "verify/zip_form.h"

namespace sallyport::cli {

/// What a journal that was left says of itself.
struct PackJournal {
  std::string question, note, plan;
  /// nullopt when there is none that can be read.
  static std::optional<PackJournal> read(const std::string& path);
};

class PackFile {
 public:
  /// Goes on if a journal of the same plan is there, else begins anew.
  static Result<PackFile> open(const std::string& path, const PackJournal& journal, std::shared_ptr<evidence::FileOps> files);

  /// The next member, of which write() gives `size` bytes before end(). False when it is there already: then neither is called.
  Result<bool> begin(const std::string& name, std::uint64_t size);
  Result<void> write(ByteView bytes);
  Result<void> end();
  Result<void> add(const std::string& name, std::string_view content);
  /// Room for a member whose content is known at the end only; finish() takes that.
  Result<void> leave_room(const std::string& name, std::uint64_t size);
  /// Digests of what was added; what room was left for is not among them.
  std::vector<verify::MemberDigest> digests() { return digests_.done(); }
  /// Fills the room, writes the directory and gives the file its name.
  Result<void> finish(std::string_view content);

  std::uint64_t written() const { return at_; }
  bool resumed() const { return resumed_; }
  void on_progress(std::function<void(std::uint64_t)> told) { told_ = std::move(told); }

 private:
  struct Line {
    std::string name;
    std::uint64_t size = 0;
    std::uint32_t crc = 0;
    Digest digest{};
  };
  static std::optional<Line> parse(const std::string& text);
  Result<void> append(ByteView bytes);
  Result<void> flush();
  Result<void> keep();               // what was written and journalled is on the disk after it
  void count(const Line& line);

  std::string path_;
  std::shared_ptr<evidence::FileOps> files_;
  evidence::File part_, lines_;
  std::ifstream before_;             // the journal of the run before, as far as it is true
  std::uint64_t before_left_ = 0;
  Bytes buffer_;
  std::string waiting_;              // lines whose members are not on the disk yet
  std::uint64_t at_ = 0, flushed_ = 0, kept_ = 0, journal_at_ = 0, first_line_ = 0;
  verify::MemberDigests digests_;
  verify::ZipMember room_;
  Line line_;                        // of the member at hand
  verify::Sha256 digest_;
  std::uint64_t from_ = 0;
  bool resumed_ = false;
  std::function<void(std::uint64_t)> told_;
};

}  // namespace sallyport::cli
