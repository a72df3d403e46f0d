#include "enforce/mask_path.h"

#include <fmt/format.h>

namespace sallyport::enforce {

class FieldPath::Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::string read(std::vector<Step>& steps) {
    constexpr std::size_t kMostSteps = 60;
    if (!take("$")) return problem("a path starts with $");
    while (at_ < text_.size()) {
      Step step;
      if (std::string wrong = one(step); !wrong.empty()) return wrong;
      if (steps.size() == kMostSteps) return problem("a path has at most 60 steps");
      steps.push_back(std::move(step));
    }
    return steps.empty() ? problem("the path names nothing below $") : "";
  }

 private:
  std::string one(Step& step) {
    if (take("..")) {
      step.deep = true;
      return peek() == '[' ? bracket(step) : dotted(step);
    }
    if (take(".")) return dotted(step);
    if (peek() == '[') return bracket(step);
    return problem("expected . or [");
  }

  std::string dotted(Step& step) {
    if (take("*")) {
      step.kind = Step::Any;
      return "";
    }
    const std::size_t start = at_;
    while (at_ < text_.size() && !std::string_view(".[]'\"*() \t\r\n,?:").contains(text_[at_])) ++at_;
    step.name = text_.substr(start, at_ - start);
    return step.name.empty() ? problem("expected a name; other characters go in ['…']") : "";
  }

  std::string bracket(Step& step) {
    take("[");
    if (take("*")) {
      step.kind = Step::Any;
    } else if (peek() == '\'' || peek() == '"') {
      if (std::string wrong = quoted(step.name); !wrong.empty()) return wrong;
    } else {
      const std::size_t start = at_;
      while (peek() >= '0' && peek() <= '9') step.index = step.index * 10 + static_cast<std::size_t>(text_[at_++] - '0');
      const std::size_t digits = at_ - start;
      if (digits == 0 || digits > 9) return problem("brackets hold *, a number from 0 up or a name in quotes");
      if (digits > 1 && text_[start] == '0') return problem("an index has no leading zero");
      step.kind = Step::Index;
    }
    return take("]") ? "" : problem("expected ]");
  }

  std::string quoted(std::string& name) {
    const char quote = text_[at_++];
    for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\\') {
        const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
        if (next != '\\' && next != '\'' && next != '"') return problem("after \\ only a quote or \\ may follow");
        ++at_;
      }
      name += text_[at_];
    }
    if (at_ == text_.size()) return problem("the quoted name is not closed");
    ++at_;
    return "";
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  std::string problem(std::string_view what) const {
    return fmt::format("{} (character {} of \"{}\"); understood are $.a.b, $.a[*].b, $..name, $['name'] and $[0]", what, at_ + 1, text_);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::string FieldPath::parse(std::string_view text, FieldPath& path) {
  path.steps_.clear();
  return Reader(text).read(path.steps_);
}

template <class Match>
FieldPath::State FieldPath::advance(State state, Match match) const {
  State next = 0;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const State bit = State{1} << i;
    if (!(state & bit)) continue;
    if (steps_[i].deep) next |= bit;
    if (match(steps_[i])) next |= bit << 1;
  }
  return next;
}

FieldPath::State FieldPath::member(State state, std::string_view name) const {
  if (state == 0) return 0;
  return advance(state, [&](const Step& s) { return s.kind == Step::Any || (s.kind == Step::Name && s.name == name); });
}

FieldPath::State FieldPath::element(State state, std::size_t index) const {
  if (state == 0) return 0;
  return advance(state, [&](const Step& s) { return s.kind == Step::Any || (s.kind == Step::Index && s.index == index); });
}

std::string_view FieldPath::last_name() const {
  return !steps_.empty() && steps_.back().kind == Step::Name ? std::string_view(steps_.back().name) : std::string_view();
}

}  // namespace sallyport::enforce
