#include "protocol/mcp/tool_search.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/json.h"

namespace sallyport::protocol::mcp {
namespace {

using Words = std::vector<std::string>;

/// Words of plain text, snake_case and camelCase, in small letters; bytes outside ASCII are letters.
Words words_of(std::string_view text) {
  Words out{""};
  char before = 0;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z', lower = (c >= 'a' && c <= 'z') || (c & 0x80) != 0, digit = c >= '0' && c <= '9';
    const bool turn = upper && ((before >= 'a' && before <= 'z') || (before >= '0' && before <= '9'));
    if ((turn || !(upper || lower || digit)) && !out.back().empty()) out.emplace_back();
    if (upper || lower || digit) out.back() += static_cast<char>(upper ? c | 0x20 : c);
    before = c;
  }
  if (out.back().empty()) out.pop_back();
  return out;
}

/// How much a word of a tool is what was asked for: the same, or one begins with the other ("ticket", "tickets").
double likeness(std::string_view asked, std::string_view word) {
  if (asked == word) return 1;
  const auto shorter = std::min(asked.size(), word.size());
  return shorter >= 3 && asked.substr(0, shorter) == word.substr(0, shorter) ? 0.5 : 0;
}

struct Weighted {
  std::vector<std::pair<std::string, double>> words;
  double length = 0;
  void add(const Words& more, double weight) {
    for (const auto& word : more) words.emplace_back(word, weight);
    length += weight * static_cast<double>(more.size());
  }
};

}  // namespace

std::vector<std::size_t> find_tools(const std::vector<ToolText>& tools, std::string_view query, std::size_t limit) {
  constexpr double kSaturation = 1.2, kByLength = 0.75;
  auto asked = words_of(query.substr(0, 1024));
  std::ranges::sort(asked);
  asked.erase(std::ranges::unique(asked).begin(), asked.end());
  std::vector<Weighted> all(tools.size());
  double total = 0;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    all[i].add(words_of(tools[i].name), 3);
    all[i].add(words_of(tools[i].title), 2);
    all[i].add(words_of(tools[i].description), 1);
    total += all[i].length;
  }
  const double average = tools.empty() || total == 0 ? 1 : total / static_cast<double>(tools.size());
  std::vector<double> score(tools.size());
  for (const auto& word : asked) {
    std::vector<double> often(tools.size());
    double having = 0;
    for (std::size_t i = 0; i < tools.size(); ++i) {
      for (const auto& [own, weight] : all[i].words) often[i] += weight * likeness(word, own);
      having += often[i] > 0;
    }
    const double rare = std::log(1 + (static_cast<double>(tools.size()) - having + 0.5) / (having + 0.5));
    for (std::size_t i = 0; i < tools.size(); ++i)
      if (often[i] > 0) score[i] += rare * often[i] * (kSaturation + 1) / (often[i] + kSaturation * (1 - kByLength + kByLength * all[i].length / average));
  }
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < tools.size(); ++i)
    if (score[i] > 0) out.push_back(i);
  std::ranges::stable_sort(out, [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
  if (out.size() > limit) out.resize(limit);
  return out;
}

std::string search_tool(std::size_t tools) {
  return R"({"name":)" + json::quote(kSearchTool) + R"(,"title":"Search tools","description":"Finds tools by words. There are )" + std::to_string(tools) +
         R"( tools here, too many to list: describe what you want to do, then call a tool that was found by its name.",)"
         R"("inputSchema":{"type":"object","properties":{"query":{"type":"string","description":"Words of what the tool does or is called"},)"
         R"("limit":{"type":"integer","minimum":1,"maximum":50,"description":"How many at most; default 10"}},"required":["query"]},)"
         R"("annotations":{"readOnlyHint":true,"openWorldHint":false}})";
}

}  // namespace sallyport::protocol::mcp
