#include "enforce/cel_type.h"

#include <fmt/format.h>

namespace sallyport::enforce::cel {

Type type_of(FactType type) {
  switch (type) {
    case FactType::Bool: return {Type::Kind::Bool, {}};
    case FactType::Int: return {Type::Kind::Int, {}};
    case FactType::Double: return {Type::Kind::Double, {}};
    case FactType::String: return {Type::Kind::String, {}};
    case FactType::StringList: return Type::list({Type::Kind::String, {}});
    case FactType::Dyn: break;
  }
  return {};
}

bool compatible(const Type& a, const Type& b) {
  if (a.is_dyn() || b.is_dyn()) return true;
  if (a.kind != b.kind) return false;
  for (std::size_t i = 0; i < a.of.size(); ++i) {
    if (!compatible(a.of[i], b.of[i])) return false;
  }
  return true;
}

Type join(const Type& a, const Type& b) {
  if (a == b) return a;
  if (!compatible(a, b) || a.kind != b.kind) return {};
  Type joined{a.kind, {}};
  for (std::size_t i = 0; i < a.of.size(); ++i) joined.of.push_back(join(a.of[i], b.of[i]));
  return joined;
}

std::string to_text(const Type& type) {
  switch (type.kind) {
    case Type::Kind::Dyn: return "dyn";
    case Type::Kind::Null: return "null";
    case Type::Kind::Bool: return "bool";
    case Type::Kind::Int: return "int";
    case Type::Kind::Uint: return "uint";
    case Type::Kind::Double: return "double";
    case Type::Kind::String: return "string";
    case Type::Kind::List: return fmt::format("list({})", to_text(type.of[0]));
    case Type::Kind::Map: return fmt::format("map({}, {})", to_text(type.of[0]), to_text(type.of[1]));
  }
  return "dyn";
}

}  // namespace sallyport::enforce::cel
