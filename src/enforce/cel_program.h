#pragma once
// A `when` expression, compiled: typed at load against the facts it may read, evaluated for every command on the data
// path without allocating (unless it joins strings or builds lists of facts). Immutable, shared by all workers; all
// state of an evaluation is on its caller's stack. Work is bounded by a budget of steps; what is over it is an error,
// and an error blocks. Language: docs/policy.md; semantics: cel-spec's langdef.
#include <cstdint>
#include <deque>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enforce/cel_parser.h"
#include "enforce/cel_value.h"
#include "enforce/facts.h"
#include "identity/principal.h"
#include "target/catalog.h"

namespace re2 {
class RE2;
}

namespace sallyport::enforce::cel {

/// What an expression reads.
struct Inputs {
  const identity::Principal& who;
  const target::Target& target;
  const Facts& facts;
};

enum class Verdict : std::uint8_t { False, True, Unknown, Error };

struct Evaluation {
  Verdict verdict = Verdict::Error;
  Failure failure{Fault::MissingFact, 0};  // of an Error
};

inline constexpr std::int64_t kStepBudget = 400'000;  // a few milliseconds in the worst case
inline constexpr std::uint32_t kMaxMacroDepth = 4;    // an exists() inside an all() inside …
inline constexpr std::size_t kMaxPattern = 1000;      // bytes of one regular expression

/// Facts that every protocol has: user.*, target.*. They come before a protocol's own in the numbering of slots.
struct CommonFact {
  std::string_view name, type, doc;
};
std::span<const CommonFact> common_facts();
inline constexpr std::uint32_t kFirstProtocolSlot = 16;

/// One operation; operands are earlier operations.
struct Code {
  Op op;
  std::uint32_t slot = 0;             // which constant, fact, local, name or pattern
  std::uint32_t first = 0, count = 0; // operands, in Program::operands
  std::uint32_t begin = 0, end = 0;   // in the source, for messages
};

class Program {
 public:
  /// Every problem of the expression, at its place; a program only when there is none. The result must be a boolean,
  /// or JSON that turns out to be one, unless `any_type`.
  static std::expected<Program, std::vector<Problem>> compile(std::string_view source,
                                                              std::span<const FactSchema* const> schemas,
                                                              bool any_type = false);
  ~Program();
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;

  /// The protocol whose facts it reads; nullptr when it reads none.
  const FactSchema* schema() const { return schema_; }
  const std::string& source() const { return source_; }
  /// The operation that gives the result, as the place of a failure of the whole.
  std::uint32_t root() const { return root_; }

  Evaluation evaluate(const Inputs& inputs, std::int64_t steps = kStepBudget) const;
  /// The value or failure as text; of an expression of any type.
  std::string evaluate_to_text(const Inputs& inputs, std::int64_t steps = kStepBudget) const;
  /// One clause for people: "no such key: mcp.args.path".
  std::string describe(const Failure& failure) const;

 private:
  friend class Checker;
  friend class Run;
  Program();

  std::string source_;
  const FactSchema* schema_ = nullptr;
  std::vector<Code> codes_;
  std::vector<std::uint32_t> operands_;
  std::uint32_t root_ = 0;
  std::vector<Value> constants_;
  std::vector<std::string> names_;
  // What constants view: their addresses must outlive a move of the program.
  std::deque<std::string> texts_;
  std::deque<std::vector<Value>> lists_;
  std::deque<std::vector<Entry>> maps_;
  std::vector<std::unique_ptr<re2::RE2>> patterns_;
};

}  // namespace sallyport::enforce::cel
