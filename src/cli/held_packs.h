#pragma once
// Packs of sessions that a hold keeps when their segments go: `held/<session>.zip` in the evidence directory, each with all of the
// session's entries and sealed payloads, proven to a signed head (docs/formats/pack.md). The keeping thread. Errors: those of
// make_pack; Unavailable also when no head covers the session yet.
#include "evidence/keeping.h"

namespace sallyport::cli {

/// Durable when it returns. One that is there already is left as it is: a closed session does not change.
Result<void> carry_held(const std::string& directory, const evidence::PrunePlan::Session& session);

}  // namespace sallyport::cli
