#include "protocol/mcp/tool_findings.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/text.h"
#include "protocol/mcp/tool_text.h"

namespace sallyport::protocol::mcp {

using enforce::Finding;

namespace {

constexpr std::size_t kMostFindings = 32;
constexpr std::size_t kMostShown = 160;
constexpr std::size_t kMostNames = 1000;   // of other tools that a text is searched for
constexpr std::size_t kMostWork = 5'000'000;  // of about 20 ns, on one definition

struct Pattern {
  const char* kind;
  bool grave;
  const char* text;     // over the text in lower case with single spaces
};
constexpr Pattern kPatterns[] = {
    {"html-comment", true, R"(<!--)"},
    {"hidden-instruction", true, R"(</?(important|system|secret|instructions?|hidden|assistant|critical|admin|sys)( [^<>]{0,40})?>|\[/?inst\]|<\|(im_start|im_end|system|user|assistant)\|>)"},
    {"hidden-instruction", true, R"(\b(ignore|disregard|forget|override|bypass)\b[^.!?]{0,30}\b(previous|prior|above|earlier|preceding|other|system|safety)\b[^.!?]{0,20}\b(instructions?|prompts?|messages?|rules|directives|guidelines|context|tools?)\b)"},
    {"hidden-instruction", true, R"(\b(do not|don't|never|must not|avoid|without)\b[^.!?]{0,15}\b(tell(ing)?|inform(ing)?|mention(ing)?|reveal(ing)?|show(ing)?|notify(ing)?|alert(ing)?|disclos(e|ing)|let(ting)?|ask(ing)?)\b[^.!?]{0,30}\b(the |an? |any )?(users?|humans?|persons?|operator)\b)"},
    {"hidden-instruction", true, R"(\b(keep|hide|conceal)\b[^.!?]{0,30}\b(from|secret|hidden)\b[^.!?]{0,15}\b(the )?(users?|humans?)\b)"},
    {"hidden-instruction", true, R"(\b(before|when|whenever|after) (using|calling|invoking|you use|you call) (this|any|any other|other|every|all|the) tools?\b[^.!?]{0,60}\b(read|send|include|append|pass|fetch|upload|execute|run|copy)\b)"},
    {"hidden-instruction", true, R"(\b(you are now|new instructions:|system prompt:|act as (an?|the) (admin|root|system))\b?)"},
    {"secret-request", true, R"((~|\$home|/home/[a-z*]+|/root|%userprofile%)[/\\]\.(ssh|aws|gnupg|kube|netrc|npmrc|docker|cursor|claude|config/gcloud|git-credentials)\b|\bid_(rsa|ed25519|ecdsa)\b|/etc/(passwd|shadow)\b|\.aws/credentials\b|\bmcp\.json\b|\bauthorized_keys\b)"},
    {"secret-request", true, R"(\b(read|send|include|append|pass|provide|attach|upload|copy|put|forward)\b[^.!?]{0,40}\b(the user's|your|user's|their|all) (api[ _-]?keys?|passwords?|credentials?|access tokens?|private keys?|secrets?|environment variables|conversation( history)?|chat history|system prompt)\b)"},
};

const std::vector<std::pair<const Pattern*, std::unique_ptr<RE2>>>& patterns() {
  static const auto kCompiled = [] {
    std::vector<std::pair<const Pattern*, std::unique_ptr<RE2>>> out;
    for (const auto& one : kPatterns) out.emplace_back(&one, std::make_unique<RE2>(one.text));
    return out;
  }();
  return kCompiled;
}

/// Letters of other scripts that look like ASCII ones, in lower case.
struct Like {
  char32_t c;
  char as;
};
constexpr Like kAlike[] = {
    {U'а', 'a'}, {U'А', 'a'}, {U'α', 'a'}, {U'Α', 'a'}, {U'ɑ', 'a'}, {U'В', 'b'}, {U'в', 'b'}, {U'Β', 'b'}, {U'с', 'c'}, {U'С', 'c'}, {U'ϲ', 'c'}, {U'ԁ', 'd'}, {U'е', 'e'}, {U'Е', 'e'},
    {U'Ε', 'e'}, {U'ε', 'e'}, {U'ё', 'e'}, {U'ɡ', 'g'}, {U'һ', 'h'}, {U'Н', 'h'}, {U'Η', 'h'}, {U'і', 'l'}, {U'І', 'l'}, {U'Ι', 'l'}, {U'ι', 'l'}, {U'ı', 'l'}, {U'Ӏ', 'l'}, {U'ј', 'j'},
    {U'Ј', 'j'}, {U'К', 'k'}, {U'к', 'k'}, {U'Κ', 'k'}, {U'κ', 'k'}, {U'ӏ', 'l'}, {U'М', 'm'}, {U'Μ', 'm'}, {U'м', 'm'}, {U'Ν', 'n'}, {U'ո', 'n'}, {U'о', 'o'}, {U'О', 'o'}, {U'ο', 'o'},
    {U'Ο', 'o'}, {U'օ', 'o'}, {U'р', 'p'}, {U'Р', 'p'}, {U'ρ', 'p'}, {U'Ρ', 'p'}, {U'ԛ', 'q'}, {U'г', 'r'}, {U'ѕ', 's'}, {U'Ѕ', 's'}, {U'Т', 't'}, {U'т', 't'}, {U'Τ', 't'}, {U'τ', 't'},
    {U'υ', 'u'}, {U'ս', 'u'}, {U'ν', 'v'}, {U'ѵ', 'v'}, {U'ԝ', 'w'}, {U'х', 'x'}, {U'Х', 'x'}, {U'χ', 'x'}, {U'Χ', 'x'}, {U'у', 'y'}, {U'У', 'y'}, {U'γ', 'y'}, {U'Υ', 'y'}, {U'Ζ', 'z'},
};

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/// One reading of a text for the patterns: lower case, one space between words, what is invisible left out.
std::string plain(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto before = text;
    const auto c = take_code_point(text);
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xA0 || c == 0x3000) {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else if (c == 0x2019 || c == 0x02BC) {
      out += '\'';
    } else if (hidden_kind(c).empty()) {
      out += before.substr(0, before.size() - text.size());
    }
  }
  return ascii_lower(out);
}

class Search {
 public:
  Search(const OtherNames& others, std::string own) : others_(others), own_(std::move(own)) {}

  void walk(const json::Value& value, const std::string& place) {
    if (value.is_string()) text(value.as_string(), place);
    std::size_t index = 0;
    for (const auto child : value) {
      if (found_.size() >= kMostFindings || over_) return;
      const auto where = place + "/" + (value.is_array() ? std::to_string(index++) : written_out(child.key(), true));
      if (value.is_object() && spend(child.key().size())) characters(child.key(), where);
      walk(child, where);
    }
  }
  void name(std::string_view name);
  std::vector<Finding> take() { return std::move(found_); }

 private:
  void add(std::string kind, const std::string& place, std::string_view shown, bool grave) {
    const bool known = std::ranges::any_of(found_, [&](const auto& one) { return one.kind == kind && one.place == place; });
    if (known || found_.size() >= kMostFindings) return;
    auto cut = shown.substr(0, kMostShown);
    while (!cut.empty() && cut.size() < shown.size() && (static_cast<unsigned char>(shown[cut.size()]) & 0xC0) == 0x80) cut.remove_suffix(1);
    found_.push_back({std::move(kind), place, written_out(cut), grave});
  }
  bool spend(std::size_t units) {
    work_ += units;
    if (work_ > kMostWork && !std::exchange(over_, true)) found_.push_back({"too-much-text", "", "more than can be looked at", true});
    return !over_;
  }
  void text(std::string_view text, const std::string& place);
  void characters(std::string_view text, const std::string& place);
  void shadowing(const std::string& text, const std::string& place);

  const OtherNames& others_;
  std::string own_;
  std::vector<Finding> found_;
  std::size_t work_ = 0;
  bool over_ = false;
};

void Search::characters(std::string_view text, const std::string& place) {
  char32_t before = 0;
  for (auto rest = text; !rest.empty();) {
    const auto at = rest;
    const auto c = take_code_point(rest);
    const auto kind = hidden_kind(c);
    // Joiners and variation selectors are part of emoji and of scripts that join: between visible characters that are not ASCII, one at a time.
    const bool joins = c == 0x200C || c == 0x200D || (c >= 0xFE00 && c <= 0xFE0F);
    auto following = rest;
    const auto after = following.empty() ? char32_t{0} : take_code_point(following);
    const bool in_script = joins && before >= 0xA9 && (c >= 0xFE00 || after >= 0xA9);
    const bool keycap = c == 0xFE0F && after == 0x20E3;
    if (!kind.empty() && !in_script && !keycap) {
      const auto from = static_cast<std::size_t>(at.data() - text.data());
      auto start = from > 40 ? from - 40 : 0;
      while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
      add(std::string(kind), place, text.substr(start, 120), true);
    }
    // Of two in a row the second joins nothing.
    before = kind.empty() || c == 0xFE0F ? c : 0;
  }
}

void Search::text(std::string_view text, const std::string& place) {
  if (!spend(64 + text.size())) return;
  characters(text, place);
  const auto read = plain(text);
  for (const auto& [pattern, compiled] : patterns()) {
    re2::StringPiece hit;
    if (RE2::PartialMatch(read, *compiled) && compiled->Match(read, 0, read.size(), RE2::UNANCHORED, &hit, 1))
      add(pattern->kind, place, std::string_view(hit.data(), hit.size()), pattern->grave);
  }
  static const RE2 kBlob(R"([A-Za-z0-9+/_-]{100,}={0,2})"), kPadding(R"([ \t\x{A0}\x{3000}]{100,}|(\s*\n){20,})");
  re2::StringPiece hit;
  const re2::StringPiece whole(text.data(), text.size());
  if (kBlob.Match(whole, 0, whole.size(), RE2::UNANCHORED, &hit, 1)) add("encoded-text", place, std::string_view(hit.data(), hit.size()), false);
  if (kPadding.Match(whole, 0, whole.size(), RE2::UNANCHORED, &hit, 1)) add("padding", place, "a long gap, which hides what follows it", false);
  shadowing(read, place);
}

/// "When send_mail is used, …": a description that says how another tool is to be used. That one exists is said by many.
void Search::shadowing(const std::string& text, const std::string& place) {
  static const RE2 kDirects(R"(\b(when|whenever|before|after|every time|each time|always|must|never|instead of)\b)");
  if (!RE2::PartialMatch(text, kDirects) || !spend(others_.all.size() / 2 + others_.all.size() * text.size() / 100)) return;
  std::size_t names = 0;
  for (const auto& [other, lower, alike, compound] : others_.all) {
    if (other == own_ || other.size() < 4 || ++names > kMostNames) continue;
    for (auto at = text.find(lower); at != std::string::npos; at = text.find(lower, at + 1)) {
      const auto end = at + lower.size();
      if ((at > 0 && is_word(text[at - 1])) || (end < text.size() && is_word(text[end]))) continue;
      // A single word may be just that: it counts in quotes, or as "the x tool".
      const bool quoted = (at > 0 && (text[at - 1] == '`' || text[at - 1] == '"' || text[at - 1] == '\'')) || text.compare(end, 5, " tool") == 0;
      if (!compound && !quoted) continue;
      const auto begin = text.find_last_of(".!?", at), stop = text.find_first_of(".!?", end);
      const auto from = begin == std::string::npos ? 0 : begin + 1;
      const auto sentence = text.substr(from, stop == std::string::npos ? std::string::npos : stop - from);
      if (RE2::PartialMatch(sentence, kDirects)) add("shadowing", place, sentence, false);
    }
  }
}

void Search::name(std::string_view name) {
  characters(name, "/name");
  static const RE2 kUsual(R"([ -~]{1,128})");
  if (!RE2::FullMatch(re2::StringPiece(name.data(), name.size()), kUsual)) add("unusual-name", "/name", written_out(name, true), false);
  const auto own = skeleton(name);
  for (const auto& other : others_.all) {
    if (other.name == name || other.skeleton != own) continue;
    add("look-alike-name", "/name", written_out(name, true) + " looks like " + written_out(other.name, true), true);
    return;
  }
}

}  // namespace

std::string skeleton(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    auto c = take_code_point(name);
    if (c >= 0xFF01 && c <= 0xFF5E) c -= 0xFEE0;                       // full-width forms
    if (c >= 0x1D400 && c <= 0x1D6A3) c = U'a' + (c - 0x1D400) % 26;   // mathematical letters, in 13 alphabets of 52
    const auto* like = std::ranges::find(kAlike, c, &Like::c);
    if (like != std::end(kAlike)) c = static_cast<char32_t>(like->as);
    if (c >= 'A' && c <= 'Z') c |= 0x20;
    if (c == '0') c = 'o';
    if (c == '1' || c == 'i' || c == '|') c = 'l';
    const bool separator = c == '_' || c == '-' || c == '.' || c == '/' || c == ' ' || c == ':' || (c >= 0x2010 && c <= 0x2015) || c == 0x2212;
    if (separator || !hidden_kind(c).empty()) continue;
    if (c < 0x80) out += static_cast<char>(c);
    else out += "u" + std::to_string(static_cast<std::uint32_t>(c)) + ";";
  }
  // Two letters that look like one; what comes of it begins no other pair.
  std::string alike;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto two = std::string_view(out).substr(i, 2);
    alike += two == "rn" ? 'm' : two == "vv" ? 'w' : out[i];
    if (two == "rn" || two == "vv") ++i;
  }
  return alike;
}

OtherNames::OtherNames(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    const bool compound = name.find_first_of("_-./") != std::string::npos || std::ranges::any_of(name.substr(std::min<std::size_t>(name.size(), 1)), [](char c) { return c >= 'A' && c <= 'Z'; });
    all.push_back({name, ascii_lower(name), skeleton(name), compound});
  }
}

std::vector<enforce::Finding> findings(const json::Value& definition, const OtherNames& others) {
  const auto name = definition["name"].as_string();
  Search search(others, std::string(name));
  if (definition["name"].is_string()) search.name(name);
  for (const auto member : definition)
    if (member.key() != "name" && member.key() != "icons") search.walk(member, "/" + written_out(member.key(), true));
  return search.take();
}

}  // namespace sallyport::protocol::mcp
