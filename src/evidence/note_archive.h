#pragma once
// A file of signed notes, one after the other, each followed by an empty line (docs/formats/checkpoint.md). What a crash left of the
// last one is cut off for good before the next is written. One writer a file; one thread.
#include "evidence/file_ops.h"

namespace sallyport::evidence {

class NoteArchive {
 public:
  /// Makes the file when missing. Errors: Unavailable.
  static Result<NoteArchive> open(std::string path);
  /// Adds the note and syncs. Errors: Unavailable; the next one then goes to the same place.
  Result<void> append(const std::string& note);

 private:
  NoteArchive(std::string path, File file, std::uint64_t end) : path_(std::move(path)), file_(std::move(file)), end_(end) {}
  std::string path_;
  File file_;
  std::uint64_t end_;
};

}  // namespace sallyport::evidence
