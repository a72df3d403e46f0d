#include "evidence/note_archive.h"

#include <fcntl.h>
#include <unistd.h>

namespace sallyport::evidence {

Result<NoteArchive> NoteArchive::open(std::string path) {
  TRY(auto file, File::open(path, O_RDWR | O_CREAT));
  TRY(const auto bytes, read_file(path));
  const auto text = as_text(bytes);
  // A whole note ends in two line feeds after its signatures; the body's own pair is followed by a signature.
  auto end = text.rfind("\n\n");
  while (end != std::string_view::npos && text.substr(0, end).rfind("\n\xE2\x80\x94 ") != text.substr(0, end).rfind('\n')) {
    end = end == 0 ? std::string_view::npos : text.rfind("\n\n", end - 1);
  }
  const auto size = end == std::string_view::npos ? 0 : end + 2;
  // Synced, or what is cut off here could come back after the next crash, between the sectors of a newer note.
  FileOps ops;
  if (size != text.size()) {
    if (::ftruncate(file.fd(), static_cast<off_t>(size)) != 0) return system_failure("cannot cut " + path, errno);
    TRY_VOID(sync(ops, file, path));
  }
  return NoteArchive(std::move(path), std::move(file), size);
}

Result<void> NoteArchive::append(const std::string& note) {
  FileOps ops;
  TRY_VOID(write_all(ops, file_, as_bytes(note + "\n"), end_, path_));
  TRY_VOID(sync(ops, file_, path_));
  end_ += note.size() + 1;
  return {};
}

}  // namespace sallyport::evidence
