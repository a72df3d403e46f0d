#pragma once
// What a Log is made of, in the order it is built; torn down in the opposite one.
#include "evidence/writer.h"

namespace sallyport::evidence {

struct Log::State {
  File lock;
  std::shared_ptr<FileOps> files;
  std::unique_ptr<HeadSigning> heads;
  std::unique_ptr<Writer> writer;
  std::once_flag stopped;
};

}  // namespace sallyport::evidence
