#pragma once
// Static types of `when` expressions, as CEL's checker knows them: dyn fits everything and defers the decision to
// evaluation. Used at load only. Pure, any thread.
#include <cstdint>
#include <string>
#include <vector>

#include "enforce/facts.h"

namespace sallyport::enforce::cel {

struct Type {
  enum class Kind : std::uint8_t { Dyn, Null, Bool, Int, Uint, Double, String, List, Map };
  Kind kind = Kind::Dyn;
  std::vector<Type> of;  // List: its elements; Map: keys, values

  static Type list(Type element) { return {Kind::List, {std::move(element)}}; }
  static Type map(Type key, Type value) { return {Kind::Map, {std::move(key), std::move(value)}}; }

  bool is(Kind k) const { return kind == k; }
  bool is_dyn() const { return kind == Kind::Dyn; }
  /// This kind, or dyn, which may turn out to be it.
  bool may_be(Kind k) const { return kind == k || is_dyn(); }
  friend bool operator==(const Type&, const Type&) = default;
};

Type type_of(FactType type);
/// Could a value of both types exist, dyn standing for any?
bool compatible(const Type& a, const Type& b);
/// The type of a collection that holds both.
Type join(const Type& a, const Type& b);
/// "string", "list(int)", …
std::string to_text(const Type& type);

}  // namespace sallyport::enforce::cel
