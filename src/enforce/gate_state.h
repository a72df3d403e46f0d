#pragma once
// What the two halves of the Gate share: a judged command and a running one. Included by gate*.cpp only.
#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "enforce/gate.h"

namespace sallyport::enforce {

/// The facts of an action whose object is not yet known: could anything of this kind be allowed?
Facts with_unknown_object(const Action& action);
/// The facts of a greeting, for a target's protocol: could anything be allowed there?
Facts first_facts(const target::Target& target);

struct Gate::Judged {
  Decision decision;
  PolicyPtr policy;               // keeps decision.masks alive
  target::CatalogPtr catalog;     // keeps target alive
  const target::Target* target = nullptr;
  std::shared_ptr<const Masker> masker;
  SqlMaskingPtr sql;              // of a Statement
  MaskCounts counts;              // of the request's record
  std::string approval;
  std::optional<std::uint64_t> goes_on;     // the command's entry whose next round this is
  std::shared_ptr<std::uint64_t> place;     // of its entry, when somebody wants to know
  std::string object;             // as it is recorded: masked
  Budgets::PlacePtr budget;       // null without a budget
};

struct Running::State {
  Gate* gate = nullptr;
  std::shared_ptr<Session> session;
  PolicyPtr policy;
  std::shared_ptr<const Masker> masker;
  SqlMaskingPtr sql;
  ResultLimits limits;
  std::uint64_t observed = 0;                      // bytes of a stream with a limit
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> beyond{nullptr, EVP_MD_CTX_free};  // the hash of what is not recorded of it
  MaskCounts counts;
  std::string request_id;
  evidence::Place place;                           // of the command's entry
  std::shared_ptr<bool> lost;                      // true once that entry could not be written; null: it is durable
  std::int64_t started_mono_ns = 0;
  std::string pending;                             // observed, not yet in a chunk
  std::optional<evidence::Recording> recording;    // once the answer is longer than one chunk
  std::vector<evidence::Chunk> chunks;             // complete, not yet written
  bool finished = false;
  Budgets::PlacePtr budget;                        // its place among what runs

  void spill();  // pending becomes chunks
};

}  // namespace sallyport::enforce
