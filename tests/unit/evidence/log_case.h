#pragma once
// A log in a temporary folder, a disk that fails on demand, and reading back what the segments hold.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>

#include "evidence/file_ops.h"
#include "evidence/log.h"
#include "evidence/notary.h"
#include "evidence/recovery.h"
#include "evidence/session.h"

namespace sallyport::evidence {

struct Folder {
  Folder() {
    char name[] = "/tmp/sallyport-evidence-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

/// Fails the n-th write or sync after arming, and every later one until disarmed.
struct FailingDisk : FileOps {
  std::atomic<int> left{-1};
  std::atomic<int> calls{0};
  std::atomic<bool> short_write{false};
  std::atomic<double> used{0};
  bool fails() {
    ++calls;
    if (left < 0) return false;
    if (left > 0) {
      --left;
      return false;
    }
    return true;
  }
  ssize_t write_at(int fd, const void* data, std::size_t size, off_t offset) override {
    if (fails()) {
      if (short_write) return FileOps::write_at(fd, data, size / 2, offset);
      errno = EIO;
      return -1;
    }
    return FileOps::write_at(fd, data, size, offset);
  }
  int sync(int fd) override {
    if (fails()) {
      errno = EIO;
      return -1;
    }
    return FileOps::sync(fd);
  }
  double used_share(const std::string&) override { return used; }
};

struct Node {
  Node() : keys(generate_note_key("node.test/evidence")) {}
  Folder folder;
  std::pair<std::string, std::string> keys;
  std::shared_ptr<FailingDisk> disk = std::make_shared<FailingDisk>();
  std::uint64_t segment_bytes = 256U << 10;
  std::int64_t epoch_ns = 0;
  FieldSet veil = 0;

  Result<std::unique_ptr<Log>> try_open() {
    TRY(auto signer, ed25519_signer("node.test/evidence", keys.first, folder.path + "/signer-head"));
    Options options;
    options.directory = folder.path;
    options.origin = "node.test/evidence";
    options.segment_bytes = segment_bytes;
    options.version = "test";
    options.files = disk;
    options.epoch_ns = epoch_ns;
    options.veil = veil;
    return Log::open(options, std::move(signer));
  }
  std::unique_ptr<Log> open() {
    auto log = try_open();
    EXPECT_TRUE(log.has_value()) << (log ? "" : log.error().what);
    return log ? std::move(*log) : nullptr;
  }
  std::vector<std::string> segments() const {
    std::vector<std::string> out;
    for (const auto& item : std::filesystem::directory_iterator(folder.path + "/segments")) {
      if (item.path().extension() == ".seg") out.push_back(item.path().string());
    }
    std::ranges::sort(out);
    return out;
  }
};

struct Stored {
  EntryFacts facts;
  Bytes leaf;
};

/// All entries on disk, each segment up to what the next one counts.
inline std::vector<Stored> stored(const Node& node) {
  struct Collect : ScanVisitor {
    std::vector<Stored> out;
    void entry(const EntryFacts& facts, ByteView leaf) override { out.push_back({facts, Bytes(leaf.begin(), leaf.end())}); }
    void chunk(const Id16&, std::uint64_t, ByteView) override {}
  } all;
  const auto files = node.segments();
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto bytes = *read_file(files[i]);
    const auto header = decode_header(bytes);
    if (!header) continue;
    if (i + 1 < files.size()) {
      if (const auto next = decode_header(*read_file(files[i + 1]))) bytes.resize(next->previous_length);
    }
    EXPECT_EQ(header->first_index, all.out.size());
    scan_segment(bytes, *header, all);
  }
  return std::move(all.out);
}

inline Entry opened(const SessionPtr& s) { return std::move(Entry(Kind::SessionOpen, s).text(Field::Subject, "ann")); }
inline Entry command(const SessionPtr& s, Decision d = Decision::Allowed) {
  return std::move(Entry(Kind::Command, s).uint(Field::Decision, static_cast<std::uint64_t>(d)).text(Field::Action, "tools/call"));
}
inline Entry outcome(const SessionPtr& s, std::uint64_t index) {
  return std::move(Entry(Kind::Outcome, s).uint(Field::Result, 1).uint(Field::CommandIndex, index));
}
inline Entry closed(const SessionPtr& s) { return std::move(Entry(Kind::SessionClose, s).text(Field::Reason, "client left")); }

inline Digest root_of_all(const Node& node, std::uint64_t size) {
  CompactRange tree;
  for (const auto& entry : stored(node)) {
    if (tree.size() < size) tree.append(leaf_hash(entry.leaf));
  }
  return tree.root();
}

}  // namespace sallyport::evidence
