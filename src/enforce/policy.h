#pragma once
// The rules: allow, block, approve, mask (docs/policy.md). Immutable after load, shared by all workers, swapped whole
// on reload. Default is deny; block > approve > allow; masks are a union; an evaluation error blocks. The order of
// rules in the file means nothing.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/yaml.h"
#include "enforce/facts.h"
#include "identity/principal.h"
#include "sql/lineage.h"
#include "target/catalog.h"

namespace sallyport::enforce {

enum class Effect : std::uint8_t { Allow, Block, Approve };

/// So many distinct humans of a group.
struct ApproverNeed {
  std::string group;
  std::int64_t count = 1;
  bool operator==(const ApproverNeed&) const = default;
};
/// Steps are filled one after the other; all needs of a step have to be met, each by other people.
using ApprovalStep = std::vector<ApproverNeed>;
using ApprovalSteps = std::vector<ApprovalStep>;
/// "2 people of group leads and one person of group owners, then one person of group security".
std::string words_of(const ApprovalSteps& steps);
/// The groups that have a say in any step, each once, in their order.
std::vector<std::string> groups_of(const ApprovalSteps& steps);

/// What an `approve` rule demands.
struct ApprovalTerms {
  ApprovalSteps steps;                  // `by: group:leads, quorum: 2` is one step with one need
  std::int64_t hold_ns = 50'000'000'000;   // how long the command waits on the wire
  std::int64_t valid_ns = 1800'000'000'000;  // absolute life of the request, from its creation
  bool in_transaction = false;          // SQL: may a statement wait inside an open transaction, with its locks?
};

/// How masked values look. Partial keeps what cannot identify (j***@***.com, last four digits).
enum class MaskWith : std::uint8_t { Partial, Redact, Hash, Null };

/// One mask rule that applies to a command; enforce/mask turns a set of these into work.
struct MaskRule {
  std::string id;
  std::vector<std::string> detect;      // detector names: email, pan, iban, ssn, phone, ip, jwt, aws_key, private_key
  std::vector<std::string> fields;      // JSON path: "$.customer.phone", "$.items[*].ssn", "$..email"
  MaskWith with = MaskWith::Partial;
  std::vector<sql::ColumnPattern> columns;  // SQL: "public.customers.ssn", "*.ssn"
  std::vector<std::string> types;       // SQL: every column of the type
  bool mask_unfollowed = false;         // SQL: what cannot be followed is masked whole instead of denied
};

/// What an `allow` rule says of SQL results; of several rules the most generous counts.
struct ResultLimits {
  std::uint64_t rows = UINT64_MAX;          // more end the result with an error
  std::uint64_t record_bytes = 256u << 10;  // recorded of one result; what is beyond is counted and hashed
};

struct Decision {
  Effect effect = Effect::Block;
  std::vector<std::string> rules;       // ids that made the decision, sorted; empty = default deny
  std::string message;                  // of the first of them that has one
  std::string reason;                   // one sentence for people: "no rule allows it", "rule no-shell blocks it", …
  std::vector<std::pair<std::string, ApprovalTerms>> approvals;  // rule id, terms: all must be satisfied
  std::vector<const MaskRule*> masks;   // owned by the Policy
  ResultLimits limits;
};

class Policy;
using PolicyPtr = std::shared_ptr<const Policy>;

class Policy {
 public:
  /// Reads and type-checks `policy:` and `tests:` (nullptr when absent) and runs the tests. Every problem is reported
  /// in `diagnostics` at its place; nullptr when there was any. `source` is hashed into digest().
  /// `access`: ids of the access rules that `who: access:ID` may name.
  static PolicyPtr load(const yaml::Node* rules, const yaml::Node* tests, std::string_view source,
                        const target::Catalog& catalog, yaml::Diagnostics& diagnostics, const std::vector<std::string>& access = {});
  ~Policy();

  /// SHA-256 over the configuration text: names the version in evidence and in approvals.
  const Digest& digest() const;

  /// Pure; no I/O; a few microseconds. Where facts are Unknown the effect means nothing, and the masks are all that could apply.
  Decision decide(const identity::Principal& who, const target::Target& target, const Facts& facts) const;

  /// For lists: could this command be allowed for some value of the unknown facts?
  bool may_be_visible(const identity::Principal& who, const target::Target& target, const Facts& facts) const;

  /// Whether a rule for this target asks for the group: what its members may there is another thing without it.
  bool names_group(std::string_view group, const target::Target& target) const;

  /// The trace of a decision, one line a rule: id, effect, selected or not and why, value of `when`.
  std::string explain(const identity::Principal& who, const target::Target& target, const Facts& facts) const;

  struct TestResult { std::string name; bool passed; std::string detail; yaml::Place place; };
  const std::vector<TestResult>& test_results() const;

 private:
  struct State;
  explicit Policy(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::enforce
