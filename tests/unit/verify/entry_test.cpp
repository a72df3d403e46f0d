// The entry as its page has it, key by key: what each may hold is read, and what it may not is refused with the key's number.
#include <gtest/gtest.h>

#include <map>

#include "verify/entry.h"

namespace sallyport::verify {
namespace {

void head(Blob& out, unsigned major, std::uint64_t n) {
  const auto size = n < 24 ? 0 : n < 256 ? 1 : n < 65536 ? 2 : n < 1ULL << 32 ? 4 : 8;
  out.push_back(static_cast<std::uint8_t>(major << 5 | (size == 0 ? n : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27)));
  for (int i = size - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(n >> (8 * i)));
}
Blob number(std::uint64_t n) {
  Blob out;
  head(out, 0, n);
  return out;
}
Blob bytes(std::size_t n, std::uint8_t fill = 7) {
  Blob out;
  head(out, 2, n);
  out.resize(out.size() + n, fill);
  return out;
}
Blob text(std::string_view what) {
  Blob out;
  head(out, 3, what.size());
  out.insert(out.end(), what.begin(), what.end());
  return out;
}
Blob list(unsigned major, const std::vector<Blob>& of, std::size_t count) {
  Blob out;
  head(out, major, count);
  for (const auto& one : of) out.insert(out.end(), one.begin(), one.end());
  return out;
}
Blob array(const std::vector<Blob>& of) { return list(4, of, of.size()); }
Blob map(const std::vector<Blob>& of) { return list(5, of, of.size() / 2); }
Blob payload(std::uint64_t first = 1 << 24, std::uint64_t chunks = 2, std::size_t digest = 32, std::size_t commitment = 32) {
  return array({number(first), number(chunks), bytes(digest, 1), bytes(commitment, 2), number(99)});
}

using Fields = std::map<std::uint64_t, Blob>;
Blob entry_of(const Fields& fields) {
  Blob out = {1};
  head(out, 5, fields.size());
  for (const auto& [key, value] : fields) {
    head(out, 0, key);
    out.insert(out.end(), value.begin(), value.end());
  }
  return out;
}
Fields heartbeat() { return {{1, number(2)}, {2, number(1'700'000'000'000'000'000)}, {3, number(5)}, {4, bytes(16)}, {7, number(4)}}; }
Fields with(Fields fields, const Fields& more) {
  for (const auto& [key, value] : more) fields[key] = value;
  return fields;
}
std::string read(const Fields& fields) {
  const auto raw = entry_of(fields);
  Entry entry;
  return read_entry(raw, entry);
}

TEST(Entry, EachKeyTakesWhatItsPageSays) {
  const Fields good = {{8, text("req")}, {9, text("ann")}, {10, text("i")}, {11, text("a")}, {12, array({text("g"), text("h")})}, {13, text("t")}, {14, text("c")},
                       {15, text("p")}, {16, text("s")}, {17, bytes(32)}, {18, number(3)}, {19, array({text("r")})}, {20, text("apr")}, {21, text("tools/call")},
                       {22, text("o")}, {23, map({text("b"), text("1"), text("c"), text("2"), text("aa"), text("3")})}, {24, payload()},
                       {25, map({text("x"), number(1), text("y"), number(2)})}, {26, number(6)}, {27, text("e")}, {28, number(1)}, {29, number(2)}, {30, number(3)},
                       {31, number(1)}, {33, text("r")}, {34, number(2)}, {35, text("bob")}, {36, number(9)}, {37, bytes(32, 3)}, {38, text("n")}, {39, bytes(16)},
                       {40, number(8)}, {41, bytes(32, 4)}, {42, number(1)}, {43, bytes(16, 5)}, {44, bytes(32, 6)}, {45, number(3)}, {46, number(4)}, {47, bytes(32, 7)}};
  for (const auto& [key, value] : good) EXPECT_EQ(read(with(heartbeat(), {{key, value}})), "") << key;
  const auto raw = entry_of(with(heartbeat(), good));
  Entry entry;
  ASSERT_EQ(read_entry(raw, entry), "");
  EXPECT_EQ(entry.index, 2U);
  EXPECT_EQ(entry.wall, 1'700'000'000'000'000'000U);
  EXPECT_EQ(entry.mono, 5U);
  EXPECT_EQ(entry.incarnation, fixed<16>(Blob(16, 7), 0));
  EXPECT_EQ(entry.kind, Kind::Heartbeat);
  EXPECT_EQ(entry.request, "req");
  EXPECT_EQ(entry.subject, "ann");
  EXPECT_EQ(entry.approval, "apr");
  EXPECT_EQ(entry.action, "tools/call");
  EXPECT_EQ(entry.object, "o");
  EXPECT_EQ(entry.approver, "bob");
  EXPECT_EQ(entry.decision, 3U);
  EXPECT_EQ(entry.result, 6U);
  EXPECT_EQ(entry.command, std::optional<std::uint64_t>(1));
  EXPECT_EQ(entry.quorum, std::optional<std::uint64_t>(2));
  EXPECT_EQ(entry.discarded, std::optional<std::uint64_t>(8));
  EXPECT_EQ(entry.signed_size, std::optional<std::uint64_t>(1));
  EXPECT_EQ(entry.digest, std::optional<Hash>(fixed<32>(Blob(32, 3), 0)));
  EXPECT_EQ(entry.discarded_digest, std::optional<Hash>(fixed<32>(Blob(32, 4), 0)));
  EXPECT_EQ(entry.before, std::optional<Id>(fixed<16>(Blob(16, 5), 0)));
  ASSERT_TRUE(entry.payload);
  EXPECT_EQ(entry.payload->first, 1U << 24);
  EXPECT_EQ(entry.payload->chunks, 2U);
  EXPECT_EQ(entry.payload->bytes, 99U);
  EXPECT_EQ(entry.payload->ciphertext, fixed<32>(Blob(32, 1), 0));
  EXPECT_EQ(entry.payload->commitment, fixed<32>(Blob(32, 2), 0));
}

TEST(Entry, EachKeyRefusesOtherTypesSizesAndValues) {
  const Blob a = text("a"), n = number(1);
  const auto refused = [](std::uint64_t key, const Blob& value) {
    EXPECT_EQ(read(with(heartbeat(), {{key, value}})), "its key " + std::to_string(key) + " is not what the format says") << hex(value);
  };
  for (const auto key : {1, 2, 3, 7, 18, 26, 28, 29, 30, 31, 34, 36, 40, 42}) refused(key, a);
  for (const auto key : {8, 9, 10, 11, 13, 14, 15, 16, 20, 21, 22, 27, 33, 35, 38}) refused(key, n), refused(key, text("")), refused(key, text("\xFF"));
  for (const auto key : {4, 5, 39, 43}) refused(key, n), refused(key, bytes(15)), refused(key, bytes(17));
  for (const auto key : {17, 37, 41, 44, 47}) refused(key, n), refused(key, bytes(31)), refused(key, bytes(33));
  for (const auto key : {12, 19}) refused(key, a), refused(key, array({})), refused(key, array({n})), refused(key, array({a, n}));
  for (const auto key : {0, 48, 63, 64, 200}) {
    if (key == 0) EXPECT_EQ(read(with(heartbeat(), {{0, n}})), "its keys are not in ascending order");
    else refused(key, n);
  }
  for (const auto n_of : {0, 27, 300}) refused(7, number(n_of));
  EXPECT_EQ(read(with(heartbeat(), {{7, number(26)}})), "");
  refused(45, number(0)), refused(45, a), refused(46, a);
  EXPECT_EQ(read(with(heartbeat(), {{7, number(25)}})), "an announcement without its key or its number");
  for (const auto n_of : {0, 4}) refused(18, number(n_of));
  for (const auto n_of : {0, 7}) refused(26, number(n_of));
  for (const auto n_of : {1, 2, 3}) EXPECT_EQ(read(with(heartbeat(), {{18, number(n_of)}})), "");
  for (const auto n_of : {1, 2, 3, 4, 5, 6}) EXPECT_EQ(read(with(heartbeat(), {{26, number(n_of)}})), "");
  const auto b = text("b"), aa = text("aa");
  for (const auto key : {23, 25}) {
    const auto v = key == 23 ? a : n;
    refused(key, a), refused(key, map({})), refused(key, map({n, v})), refused(key, map({a, key == 23 ? n : a}));
    refused(key, map({b, v, a, v})), refused(key, map({a, v, a, v})), refused(key, map({aa, v, b, v}));
    EXPECT_EQ(read(with(heartbeat(), {{static_cast<std::uint64_t>(key), map({b, v, aa, v})}})), "") << "shorter keys come first";
    EXPECT_EQ(read(with(heartbeat(), {{static_cast<std::uint64_t>(key), map({a, v, b, v})}})), "");
  }
  refused(24, n), refused(24, payload(1)), refused(24, payload(1 << 24, 0)), refused(24, payload(1 << 24, (1 << 24) + 1)), refused(24, payload(0, 1, 31)), refused(24, payload(0, 1, 32, 33));
  refused(24, array({n, n, bytes(32), bytes(32)}));
  EXPECT_EQ(read(with(heartbeat(), {{24, payload(0, 1 << 24)}})), "");
}

TEST(Entry, WhatItsKindNeedsIsThereAndWhatMayNotBeIsNot) {
  for (const auto key : {1, 2, 3, 4, 7}) {
    auto fields = heartbeat();
    fields.erase(key);
    EXPECT_EQ(read(fields), "one of its keys 1, 2, 3, 4 and 7 is missing") << key;
  }
  const Fields session = {{5, bytes(16)}, {6, number(0)}};
  const Blob totals = array({number(4), number(3), number(2), number(1)});
  EXPECT_EQ(read(with(heartbeat(), {{5, bytes(16)}})), "it has only one of session and sequence");
  EXPECT_EQ(read(with(heartbeat(), {{6, number(0)}})), "it has only one of session and sequence");
  EXPECT_EQ(read(with(heartbeat(), session)), "");
  EXPECT_EQ(read(with(heartbeat(), {{32, totals}})), "totals belong to session.close, and always");
  EXPECT_EQ(read(with(heartbeat(), with(session, {{7, number(9)}}))), "totals belong to session.close, and always");
  for (const auto kind : {8, 9, 10, 11}) {
    Fields fields = {{7, number(static_cast<std::uint64_t>(kind))}};
    if (kind == 9) fields[32] = totals;
    EXPECT_EQ(read(with(heartbeat(), fields)), "it belongs to a session and names none") << kind;
  }
  const auto command = with(with(heartbeat(), session), {{7, number(10)}}), outcome = with(with(heartbeat(), session), {{7, number(11)}});
  EXPECT_EQ(read(command), "a command without a decision");
  EXPECT_EQ(read(with(command, {{18, number(1)}})), "");
  EXPECT_EQ(read(outcome), "an outcome without its result or its command");
  EXPECT_EQ(read(with(outcome, {{26, number(1)}})), "an outcome without its result or its command");
  EXPECT_EQ(read(with(outcome, {{31, number(1)}})), "an outcome without its result or its command");
  EXPECT_EQ(read(with(outcome, {{26, number(1)}, {31, number(1)}})), "");
  const auto close = with(with(heartbeat(), session), {{7, number(9)}, {32, totals}});
  const auto raw = entry_of(close);
  Entry entry;
  ASSERT_EQ(read_entry(raw, entry), "");
  EXPECT_EQ(entry.totals, (std::array<std::uint64_t, 4>{4, 3, 2, 1}));
  EXPECT_EQ(entry.sequence, 0U);
  EXPECT_TRUE(entry.session);
  EXPECT_EQ(read(with(close, {{32, array({number(4), number(3), number(2)})}})), "its key 32 is not what the format says");
  for (std::uint64_t kind = 1; kind <= 24; ++kind) {
    if (kind >= 8 && kind <= 11) continue;
    EXPECT_EQ(read(with(heartbeat(), {{7, number(kind)}})), "") << kind;
  }
}

TEST(Entry, ItIs1To65535BytesOfAKnownVersion) {
  Entry entry;
  EXPECT_EQ(read_entry({}, entry), "its size is not 1 to 65535 bytes");
  const auto sized = [](std::size_t n) {
    const auto without = entry_of(with(heartbeat(), {{27, text(std::string(40'000, 'x'))}})).size() - 40'000;
    return entry_of(with(heartbeat(), {{27, text(std::string(n - without, 'x'))}}));
  };
  ASSERT_EQ(sized(65535).size(), 65535U);
  EXPECT_EQ(read_entry(sized(65535), entry), "");
  EXPECT_EQ(read_entry(sized(65536), entry), "its size is not 1 to 65535 bytes");
  for (const std::uint8_t version : {0, 2, 3, 255}) {
    auto raw = entry_of(heartbeat());
    raw[0] = version;
    EXPECT_EQ(read_entry(raw, entry), version == 2 ? "veils and their digest belong to version 2, and always" : "its format version is unknown");
  }
  auto twice = entry_of(heartbeat());
  twice[1] = 0xA6, twice.push_back(7), twice.push_back(4);
  EXPECT_EQ(read_entry(twice, entry), "its keys are not in ascending order");
}

TEST(Entry, IsDescribedByWhatItHoldsSafelyAndBriefly) {
  auto raw = entry_of(with(heartbeat(), {{5, bytes(16, 0xAB)}, {6, number(0)}, {7, number(10)}, {9, text("ann\x7F")}, {18, number(1)}, {21, text(std::string(61, 'a'))}, {22, text("é\x1F~ ")}}));
  Entry entry;
  ASSERT_EQ(read_entry(raw, entry), "");
  EXPECT_EQ(describe(entry), "entry 2 (command " + std::string(60, 'a') + " ???~  by ann?, session abababab, 2023-11-14T22:13:20Z)");
  EXPECT_STREQ(name_of(static_cast<Kind>(24)), "erase");
  EXPECT_STREQ(name_of(static_cast<Kind>(25)), "key.epoch");
  EXPECT_STREQ(name_of(Kind::ToolTrust), "tool.trust");
  EXPECT_STREQ(name_of(static_cast<Kind>(27)), "?");
}

}  // namespace
}  // namespace sallyport::verify
