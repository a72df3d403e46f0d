// Paths below /log: each page has one, and nothing else is one.
#include "evidence/tile_path.h"

#include <gtest/gtest.h>

namespace sallyport::evidence {
namespace {

TEST(LogPath, OfEachPageIsReadBack) {
  for (const std::string path : {"checkpoint", "tile/0/000", "tile/63/x018/x446/x744/x073/x709/x551/615", "tile/1/x001/234.p/17", "tile/entries/x012/x345/678.p/255"}) {
    const auto page = parse_log_path(path);
    ASSERT_TRUE(page) << path;
    EXPECT_EQ(log_path(*page), path);
  }
}

TEST(LogPath, OfANumberOver64BitsIsNone) {
  EXPECT_EQ(parse_log_path("tile/0/x018/x446/x744/x073/x709/x551/615")->number, UINT64_MAX);
  EXPECT_FALSE(parse_log_path("tile/0/x018/x446/x744/x073/x709/x551/616")) << "it must not become tile 0";
  EXPECT_FALSE(parse_log_path("tile/0/x999/x999/x999/x999/x999/x999/999"));
  EXPECT_FALSE(parse_log_path("tile/0/x001/x000/x000/x000/x000/x000/x000/000"));
}

TEST(LogPath, HasNoOtherSpelling) {
  for (const char* path : {"", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/0/x000/000", "tile/0/000/", "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0",
                           "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/1/2", "tile/-1/000", "tile/0/+01", "tile/0/x001/", "tile/Entries/000", "checkpoint/"})
    EXPECT_FALSE(parse_log_path(path)) << path;
}

}  // namespace
}  // namespace sallyport::evidence
