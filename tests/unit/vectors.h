#pragma once
// The vectors of tests/fixtures, as text: the gateway and its verifier each decode them with their own code.
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace sallyport::vectors {

inline std::vector<std::string> lines(const std::string& name) {
  std::ifstream in(std::string(SALLYPORT_SOURCE_DIR) + "/tests/fixtures/" + name);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);)
    if (!line.empty() && line[0] != '#') out.push_back(line);
  return out;
}

/// A proof of tests/fixtures/merkle: of inclusion (index, size, leaf hash, root) or consistency (old size, size, old root, root).
struct Proof {
  bool inclusion = false, good = false;
  std::uint64_t first = 0, size = 0;
  std::string first_hash, root, what;  // base64
  std::vector<std::string> proof;
};
inline std::vector<Proof> proofs() {
  std::vector<Proof> out;
  for (const auto& line : lines("merkle/vectors.txt")) {
    std::istringstream in(line);
    std::string kind, verdict, hashes;
    auto& one = out.emplace_back();
    in >> kind >> verdict >> one.first >> one.size >> one.first_hash >> one.root >> hashes >> one.what;
    one.inclusion = kind == "inclusion";
    one.good = verdict == "good";
    std::istringstream list(hashes == "-" ? "" : hashes);
    for (std::string hash; std::getline(list, hash, ',');) one.proof.push_back(hash);
    one.what = line;
  }
  EXPECT_EQ(out.size(), 525U) << "tests/fixtures/merkle/vectors.txt is not whole";
  return out;
}

/// A note of tests/fixtures/note: "signed", "unsigned" (by the key), "wrong" (signature), "malformed".
struct Note {
  std::string verdict, key, note, what;
};
inline std::vector<Note> notes() {
  std::vector<Note> out;
  for (const auto& line : lines("note/notes.txt")) {
    std::istringstream in(line);
    auto& one = out.emplace_back();
    std::string text;
    in >> one.verdict >> one.key;
    std::getline(in, text);
    for (std::size_t i = 1; i < text.size(); ++i) {
      if (text[i] != '\\') one.note += text[i];
      else if (text[++i] == 'n') one.note += '\n';
      else one.note += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16)), i += 2;  // \xNN
    }
    one.what = line;
  }
  EXPECT_EQ(out.size(), 18U) << "tests/fixtures/note/notes.txt is not whole";
  return out;
}

/// What golang.org/x/mod's own test does to a key that is right: every piece of it, and every byte plus one.
inline std::vector<std::string> mangled(const std::string& key) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i <= key.size(); ++i)
    for (std::size_t j = i + 1; j <= key.size(); ++j)
      if (i != 0 || j != key.size()) out.push_back(key.substr(i, j - i));
  for (std::size_t i = 0; i < key.size(); ++i) {
    out.push_back(key);
    ++out.back()[i];
  }
  return out;
}

}  // namespace sallyport::vectors
