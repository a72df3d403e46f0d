#pragma once
// Analyses by statement shape: a lexer of a few branches a byte replaces the literals of plain statements, and texts that
// then look alike share one Analysis. Whatever the lexer does not know for certain is its own shape, the whole text.
// tests/unit/sql/shape_test.cpp holds the lexer against the parser. One a worker, on its thread only; bounded.
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sql/statement.h"

namespace sallyport::sql {

/// The shape of a plain SELECT, INSERT, UPDATE or DELETE in `out`; false when the text is not certain to be one.
bool shape_of(std::string_view text, std::string& out);

class Shapes {
 public:
  explicit Shapes(std::size_t bytes = 16u << 20) : limit_(bytes) {}

  /// Errors: Malformed (the grammar refuses the text); those are not kept.
  Result<AnalysisPtr> find(const std::string& text);

  std::uint64_t hits() const { return hits_; }
  std::uint64_t misses() const { return misses_; }

 private:
  struct Kept {
    std::string key;
    AnalysisPtr analysis;
    std::size_t bytes = 0;
  };
  void keep(std::string key, AnalysisPtr analysis);

  std::size_t limit_, bytes_ = 0;
  std::list<Kept> order_;  // the one used last comes first
  std::unordered_map<std::string_view, std::list<Kept>::iterator> by_key_;
  std::string scratch_;
  std::uint64_t hits_ = 0, misses_ = 0;
};

}  // namespace sallyport::sql
