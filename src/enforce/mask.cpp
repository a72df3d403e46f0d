#include "enforce/mask.h"

#include <cmath>
#include <optional>
#include <set>

#include "enforce/detect.h"
#include "enforce/mask_path.h"
#include "enforce/mask_style.h"

namespace sallyport::enforce {
namespace {

constexpr int kMaxNested = 3;  // JSON in a string in JSON in a string …

/// The first byte that is no white space.
char first_of(std::string_view text) {
  const auto at = text.find_first_not_of(" \t\r\n");
  return at == std::string_view::npos ? '\0' : text[at];
}

}  // namespace

struct Masker::State {
  struct Field {
    FieldPath path;
    std::string name;  // "rule:$.path"
    MaskWith with;
  };
  struct Found {
    std::string name;  // "rule:detector"
    MaskWith with = MaskWith::Partial;
    bool on = false;
  };
  std::vector<Field> fields;
  std::array<Found, kDetectors> found;
  DetectorSet detectors;

  const Found& of(Detector what) const { return found[static_cast<std::size_t>(what)]; }
  /// True and the masked text in `out` when something was found; clean text costs no allocation.
  bool mask_text(std::string_view text, std::string& out, MaskCounts& counts, std::string_view key) const;
};

namespace {

/// One walk over one document. `States` holds, for each field rule, how far its path has led.
class Walk {
 public:
  using States = std::vector<FieldPath::State>;
  using State = Masker::State;

  Walk(const State& rules, json::Splice& splice, MaskCounts& counts, int nested) : rules_(rules), splice_(splice), counts_(counts), nested_(nested) {}

  void value(const json::Value& value, const States& states, const State::Field* named, std::string_view key) {
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (!rules_.fields[i].path.names(states[i])) continue;
      // Several rules may name one value: the one that shows least decides.
      if (named == nullptr || stricter(named->with, rules_.fields[i].with) != named->with) named = &rules_.fields[i];
    }
    if (value.is_object()) return object(value, states, named);
    if (value.is_array()) return array(value, states, named, key);
    if (named != nullptr) return whole(value, *named);
    if (value.is_string()) return string(value, key);
    if (value.kind() == json::Kind::Int || value.kind() == json::Kind::Double) number(value);
  }

 private:
  void object(const json::Value& object, const States& states, const State::Field* named) {
    std::size_t from = object.offset() + 1;
    Names names;
    for (const auto member : object) {
      if (!rules_.detectors.empty()) key(object, member, from, names);
      States next(states.size());
      for (std::size_t i = 0; i < states.size(); ++i) next[i] = rules_.fields[i].path.member(states[i], member.key());
      value(member, next, named, member.key());
      from = member.offset() + member.raw().size();
    }
  }

  void array(const json::Value& array, const States& states, const State::Field* named, std::string_view key) {
    std::size_t index = 0;
    for (const auto element : array) {
      States next(states.size());
      for (std::size_t i = 0; i < states.size(); ++i) next[i] = rules_.fields[i].path.element(states[i], index);
      value(element, next, named, key);
      ++index;
    }
  }

  /// The keys of one object once one of them is masked, and the number the next like one gets.
  struct Names {
    std::set<std::string, std::less<>> taken;
    std::map<std::string, std::size_t> next;
  };

  /// A key that holds what a detector knows becomes masked too; two of them must not become one.
  void key(const json::Value& object, const json::Value& member, std::size_t from, Names& names) {
    std::string name;
    if (!rules_.mask_text(member.key(), name, counts_, {})) return;
    if (names.taken.empty())
      for (const auto one : object) names.taken.emplace(one.key());
    std::string unique = name;
    for (auto& n = names.next.try_emplace(name, 2).first->second; !names.taken.insert(unique).second; ++n) unique = name + "#" + std::to_string(n);
    // From the end of what came before there is only white space, a comma and the key's quotes.
    const char* text = object.raw().data() - object.offset();
    while (text[from] != '"') ++from;
    std::size_t end = member.offset();
    while (text[end - 1] != '"') --end;
    splice_.replace(from, end - from, json::quote(unique));
  }

  void whole(const json::Value& value, const State::Field& field) {
    std::string with;
    switch (value.kind()) {
      case json::Kind::Null: return;
      case json::Kind::Bool: with = field.with == MaskWith::Null ? "null" : "false"; break;
      case json::Kind::String:
        if (field.with == MaskWith::Null) with = "null";
        else with = json::quote(mask_whole(value.as_string(), field.with));
        break;
      default: with = mask_number(value.raw(), field.with); break;
    }
    ++counts_[field.name];
    if (with != value.raw()) splice_.replace(value, std::move(with));
  }

  void string(const json::Value& value, std::string_view key) {
    const auto text = value.as_string();
    const char first = first_of(text);
    if (nested_ < kMaxNested && (first == '{' || first == '[')) {
      // MCP's text content is JSON more often than not: its keys and paths count, not its spelling.
      if (auto inner = json::Document::parse(std::string(text))) {
        json::Splice splice;
        Walk walk(rules_, splice, counts_, nested_ + 1);
        walk.value(inner->root(), starts(rules_), nullptr, {});
        if (!splice.empty()) splice_.replace(value, json::quote(splice.apply(inner->text())));
        return;
      }
    }
    if (rules_.detectors.empty()) return;
    std::string masked;
    if (rules_.mask_text(text, masked, counts_, key)) splice_.replace(value, json::quote(masked));
  }

  /// A card number may stand as a number, however it is written: -4111111111111111, 4111111111111111.0, 4.1…e15.
  void number(const json::Value& value) {
    const auto& pan = rules_.of(Detector::Pan);
    const double magnitude = std::abs(value.as_double());
    if (!pan.on || magnitude < 1e11 || magnitude >= 1e20) return;
    auto raw = value.raw();
    if (raw.starts_with('-')) raw.remove_prefix(1);
    std::string digits(raw.substr(0, raw.find_first_not_of("0123456789")));
    if (digits.size() != raw.size()) {
      // A fraction or an exponent: what number is it? One with a part behind the point is none.
      const auto point = raw.find('.');
      const bool plain = raw.find_first_of("eE") == std::string_view::npos;
      if (plain && raw.find_first_not_of('0', point + 1) != std::string_view::npos) return;
      if (!plain) digits = fmt::format("{:.0f}", magnitude);
    }
    DetectorSet wanted;
    wanted.add(Detector::Pan);
    find_hits(digits, wanted, hits_);
    if (hits_.size() != 1 || hits_[0].begin != 0 || hits_[0].end != digits.size()) return;
    ++counts_[pan.name];
    splice_.replace(value, mask_card_number(digits, pan.with));
  }

 public:
  static States starts(const State& rules) {
    States out;
    for (const auto& field : rules.fields) out.push_back(field.path.start());
    return out;
  }

 private:
  const State& rules_;
  json::Splice& splice_;
  MaskCounts& counts_;
  int nested_;
  std::vector<Hit> hits_;
};

}  // namespace

bool Masker::State::mask_text(std::string_view text, std::string& out, MaskCounts& counts, std::string_view key) const {
  thread_local std::vector<Hit> hits;  // its memory is kept
  find_hits(text, detectors, hits, key);
  if (hits.empty()) return false;
  out.clear();
  out.reserve(text.size());
  std::size_t from = 0;
  for (const auto& hit : hits) {
    const auto& rule = of(hit.what);
    out.append(text.substr(from, hit.begin - from)).append(mask_hit(hit, rule.with));
    from = hit.end;
    ++counts[rule.name];
  }
  out.append(text.substr(from));
  return out != text;
}

Masker::Masker(const std::vector<const MaskRule*>& rules) : state_(std::make_unique<State>()) {
  for (const auto* rule : rules) {
    for (const auto& text : rule->fields) {
      FieldPath path;
      if (!FieldPath::parse(text, path).empty()) throw std::logic_error("mask rule " + rule->id + " was loaded with a path that does not parse");
      state_->fields.push_back({std::move(path), rule->id + ":" + text, rule->with});
    }
    for (const auto& name : rule->detect) {
      const auto what = detector_of(name);
      if (!what) throw std::logic_error("mask rule " + rule->id + " was loaded with an unknown detector");
      auto& found = state_->found[static_cast<std::size_t>(*what)];
      if (!found.on || stricter(found.with, rule->with) != found.with) found = {rule->id + ":" + name, rule->with, true};
      state_->detectors.add(*what);
    }
  }
}

Masker::~Masker() = default;
Masker::Masker(Masker&&) noexcept = default;

bool Masker::empty() const { return state_->fields.empty() && state_->detectors.empty(); }

bool Masker::mask_text(std::string& text, MaskCounts& counts) const {
  std::string masked;
  if (state_->detectors.empty() || !state_->mask_text(text, masked, counts, {})) return false;
  text = std::move(masked);
  return true;
}

bool Masker::mask_view(std::string_view text, std::string& out, MaskCounts& counts) const {
  return !state_->detectors.empty() && state_->mask_text(text, out, counts, {});
}

void Masker::mask_json(const json::Value& root, json::Splice& splice, MaskCounts& counts) const {
  if (empty() || !root.valid()) return;
  Walk(*state_, splice, counts, 0).value(root, Walk::starts(*state_), nullptr, root.key());
}

std::string check_detector(std::string_view name) {
  if (detector_of(name)) return "";
  std::string known;
  for (std::size_t i = 0; i < kDetectors; ++i) known += (i ? ", " : "") + std::string(detector_name(static_cast<Detector>(i)));
  return "there is no detector \"" + std::string(name) + "\"; there are " + known;
}

std::string check_field_path(std::string_view path) {
  FieldPath parsed;
  return FieldPath::parse(path, parsed);
}

}  // namespace sallyport::enforce
