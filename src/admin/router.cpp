#include "admin/router.h"

#include <algorithm>
#include <stdexcept>

namespace sallyport::admin {
namespace {

constexpr std::size_t kMaxParameter = 256;

/// The next segment of "/a/b"; what remains begins with '/' again, or is empty.
std::string_view next(std::string_view& path) {
  path.remove_prefix(1);
  const auto part = path.substr(0, path.find('/'));
  path.remove_prefix(part.size());
  return part;
}

std::string methods_of(const std::vector<const Route*>& routes) {
  std::vector<std::string> names;
  for (const auto* route : routes) {
    names.push_back(route->method);
    if (route->method == "GET" && std::holds_alternative<Handler>(route->handler)) names.emplace_back("HEAD");
  }
  std::ranges::sort(names);
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

std::vector<Router::Segment> Router::parse(const std::string& pattern) {
  std::vector<Segment> out;
  std::string_view rest = pattern;
  if (!rest.starts_with('/')) throw std::logic_error("a route's pattern begins with /: " + pattern);
  while (!rest.empty()) {
    auto part = next(rest);
    Segment segment{Segment::Literal, std::string(part)};
    if (part.starts_with('{') && part.ends_with('}')) {
      part = part.substr(1, part.size() - 2);
      segment.kind = part.ends_with("...") ? Segment::Rest : Segment::One;
      if (segment.kind == Segment::Rest) part.remove_suffix(3);
      segment.text = std::string(part);
      if (part.empty() || (segment.kind == Segment::Rest && !rest.empty())) throw std::logic_error("a route's pattern has a bad parameter: " + pattern);
    } else if (part.find_first_of("{}%") != std::string_view::npos) {
      throw std::logic_error("a route's pattern has a bad segment: " + pattern);
    }
    out.push_back(std::move(segment));
  }
  return out;
}

bool Router::before(const Place& a, const Place& b) {
  const auto kind = [](const Segment& segment) { return segment.kind; };
  return std::ranges::lexicographical_compare(a.segments, b.segments, {}, kind, kind);
}

void Router::add(Route route) {
  auto segments = parse(route.pattern);
  std::string shape;
  for (const auto& segment : segments) shape += segment.kind == Segment::Literal ? "/" + segment.text : segment.kind == Segment::One ? "/{}" : "/{...}";
  auto place = std::ranges::find(places_, shape, &Place::shape);
  if (place == places_.end()) {
    Place made{shape, std::move(segments), {}};
    place = places_.insert(std::ranges::upper_bound(places_, made, before), std::move(made));
  } else if (place->routes.front()->pattern != route.pattern || std::ranges::any_of(place->routes, [&](const Route* one) { return one->method == route.method; })) {
    throw std::logic_error("two routes for " + route.method + " " + route.pattern);
  }
  routes_.push_back(std::move(route));
  place->routes.push_back(&routes_.back());
}

bool Router::fits(const Place& place, std::string_view path) {
  for (const auto& segment : place.segments) {
    if (path.empty()) return false;
    if (segment.kind == Segment::Rest) return path.size() > 1;
    const auto part = next(path);
    if (segment.kind == Segment::Literal ? part != segment.text : part.empty()) return false;
  }
  return path.empty();
}

Router::Found Router::find(std::string_view method, std::string_view path) const {
  Found out;
  if (!path.starts_with('/')) return out;
  const auto place = std::ranges::find_if(places_, [&](const Place& one) { return fits(one, path); });
  if (place == places_.end()) return out;
  out.allow = methods_of(place->routes);
  out.open = std::ranges::all_of(place->routes, [](const Route* one) { return one->need == Permission::Open; });
  for (const auto* route : place->routes) {
    const bool head = method == "HEAD" && route->method == "GET" && std::holds_alternative<Handler>(route->handler);
    if (route->method == method || (head && !out.route)) out.route = route;
  }
  for (const auto& segment : place->segments) {
    if (segment.kind == Segment::Rest) {
      out.params[segment.text] = std::string(path.substr(1));
      break;
    }
    const auto part = next(path);
    if (segment.kind == Segment::Literal) continue;
    Result<std::string> value = fail(ErrorKind::Malformed, "too long");
    if (part.size() <= 3 * kMaxParameter) value = percent_decoded(part);
    if (value && (value->size() > kMaxParameter || value->find('/') != std::string::npos)) value = fail(ErrorKind::Malformed, "too long, or of more than one segment");
    if (!value) {
      out.malformed = segment.text + " in the path: " + value.error().what;
      break;
    }
    out.params[segment.text] = std::move(*value);
  }
  return out;
}

std::size_t Router::body_bytes() const {
  std::size_t out = 64u << 10;
  for (const auto& route : routes_) out = std::max(out, route.body_bytes);
  return out;
}

}  // namespace sallyport::admin
