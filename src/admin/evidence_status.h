#pragma once
// How the evidence log and its witnesses are, as /metrics and GET /api/evidence/status say it. Pure.
#include "admin/services.h"

namespace sallyport::admin {

std::vector<Metric> metrics_of(const evidence::LogStatus& log, const WitnessStatus& witnesses);
std::string status_json(const evidence::LogStatus& log, const WitnessStatus& witnesses);

}  // namespace sallyport::admin
