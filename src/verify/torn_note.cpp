// What a crash in the middle of an append leaves of an archived head: a beginning of it, or one with whole sectors missing.
#include <set>

#include "verify/heads.h"

namespace sallyport::verify {
namespace {

constexpr std::size_t kSector = 512;

/// One byte of a note, or a run of them.
struct Token {
  enum What { Literal, Digit, Base64, NameRun, SignatureRun } what = Literal;
  char c = 0;
};

bool is_base64(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'; }

bool fits(const Token& token, char c) {
  switch (token.what) {
    case Token::Literal: return c == token.c;
    case Token::Digit: return c >= '0' && c <= '9';
    case Token::Base64: return is_base64(c);
    case Token::NameRun: return static_cast<unsigned char>(c) > ' ';
    case Token::SignatureRun: return is_base64(c) || c == '=';
  }
  return false;
}

/// Origin, size, root, the log's own signature; then lines of others, any number of them; then the empty line.
struct Pattern {
  std::vector<Token> tokens;
  std::size_t digits = 0, digits_end = 0, others = 0, others_end = 0;   // where they begin and end

  explicit Pattern(const NoteKey& key) {
    literal(key.name + "\n");
    digits = tokens.size();
    repeat(Token::Digit, 20);
    digits_end = tokens.size();
    literal("\n");
    repeat(Token::Base64, 43);
    literal("=\n\n\xE2\x80\x94 " + key.name + " ");
    repeat(Token::Base64, 91);
    literal("=\n");
    others = tokens.size();
    literal("\xE2\x80\x94 ");
    repeat(Token::NameRun, 1);
    literal(" ");
    repeat(Token::SignatureRun, 1);
    literal("\n");
    others_end = tokens.size();
  }
  void literal(std::string_view text) {
    for (const char c : text) tokens.push_back({Token::Literal, c});
  }
  void repeat(Token::What what, std::size_t n) { tokens.insert(tokens.end(), n, {what, 0}); }

  /// The places after a byte at `at`; a byte that is lost may have been any.
  void step(std::size_t at, char c, bool lost, std::set<std::size_t>& next) const {
    if (at == others_end) return;                       // after the empty line nothing may follow
    if (at == others && (lost || c == '\n')) next.insert(others_end);
    if (!lost && !fits(tokens[at], c)) return;
    const bool run = tokens[at].what == Token::NameRun || tokens[at].what == Token::SignatureRun;
    if (run) next.insert(at);
    const auto after = at + 1 == others_end ? others : at + 1;
    next.insert(after);
    if (after > digits && after < digits_end) next.insert(digits_end);   // fewer digits than could be
  }
};

}  // namespace

bool is_torn_note(std::string_view text, const NoteKey& key, std::size_t offset) {
  if (all_zero(view(text))) return true;  // the file was longer before its bytes were on the disk
  const auto lost = [&](std::size_t i) {  // its sector was not written, and those around it were
    const auto sector = (offset + i) / kSector * kSector;
    const auto from = sector > offset ? sector - offset : 0, to = std::min(sector + kSector - offset, text.size());
    return all_zero(view(text.substr(from, to - from)));
  };
  const Pattern pattern(key);
  std::set<std::size_t> places = {0}, next;
  bool holes = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hole = text[i] == '\0' && lost(i);
    holes = holes || hole;
    for (const auto at : places) pattern.step(at, text[i], hole, next);
    places.swap(next);
    next.clear();
    if (places.empty()) return false;
  }
  return holes || !places.contains(pattern.others_end);
}

}  // namespace sallyport::verify
