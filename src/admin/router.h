#pragma once
// Finds the route of a request among the table's patterns. Literal segments win over parameters: /api/requests/watch is never the request
// "watch". A parameter is one segment, percent-decoded, 1 to 256 bytes, without '/'. Filled at start, then read only; the admin worker's thread.
#include <deque>

#include "admin/route.h"

namespace sallyport::admin {

class Router {
 public:
  /// Throws std::logic_error on a pattern that cannot be read and on a second route of the same method and path: a bug, seen at start.
  void add(Route route);

  struct Found {
    const Route* route = nullptr;                // null: nothing there, or not with this method
    std::map<std::string, std::string> params;
    std::string allow;                           // the methods there are at this path; "" when there is nothing
    bool open = false;                           // all of them without sign-in
    std::string malformed;                       // a parameter that cannot be read, and why
  };
  Found find(std::string_view method, std::string_view path) const;

  /// In the order they were added.
  const std::deque<Route>& routes() const { return routes_; }
  /// The largest body any route takes.
  std::size_t body_bytes() const;

 private:
  struct Segment {
    enum Kind : std::uint8_t { Literal, One, Rest } kind = Literal;
    std::string text;  // or the parameter's name
  };
  struct Place {
    std::string shape;  // the pattern with its parameters unnamed
    std::vector<Segment> segments;
    std::vector<const Route*> routes;
  };
  static std::vector<Segment> parse(const std::string& pattern);
  static bool fits(const Place& place, std::string_view path);
  static bool before(const Place& a, const Place& b);
  std::deque<Route> routes_;
  std::vector<Place> places_;  // the more literal first
};

}  // namespace sallyport::admin
