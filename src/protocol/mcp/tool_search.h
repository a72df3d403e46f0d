#pragma once
// Finding tools by words in catalogs that are too large to be listed: BM25 (Robertson and Zaragoza 2009) over the words of names,
// titles and descriptions, a name's counting most. Pure, any thread.
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::protocol::mcp {

inline constexpr std::string_view kSearchTool = "search_tools";

struct ToolText {
  std::string name, title, description;
};

/// Places in `tools` of those that match, best first and of equals the first, at most `limit`.
std::vector<std::size_t> find_tools(const std::vector<ToolText>& tools, std::string_view query, std::size_t limit);

/// The definition of the tool that searches (raw JSON), with how many there are to be found.
std::string search_tool(std::size_t tools);

}  // namespace sallyport::protocol::mcp
