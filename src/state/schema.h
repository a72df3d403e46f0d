#pragma once
// The tables of the embedded state and the steps that bring an older database to them. Run once, at open, in one
// transaction: a database is either at this version or untouched. Errors: Unavailable.
#include "base/result.h"
#include "state/store.h"

namespace sallyport::state {

/// The version of the schema that this program writes (PRAGMA user_version).
int schema_version();

/// Errors: Unavailable (disk, or a database that a newer program wrote, or one that is not ours).
/// `to`: an older version, for tests of what comes after it.
Result<void> migrate(Database& database, int to = schema_version());

}  // namespace sallyport::state
