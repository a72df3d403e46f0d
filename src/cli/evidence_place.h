#pragma once
// Where the evidence is that a command reads: the directory given, else the one that a configuration names. Main thread.
#include <optional>
#include <string>

#include "base/error.h"

namespace sallyport::cli {

/// Says on stderr what is missing or wrong.
std::optional<std::string> evidence_directory(const std::string& directory, const std::string& config);

/// Says on stderr what failed; the exit code for it.
int failed(const Error& error);

}  // namespace sallyport::cli
