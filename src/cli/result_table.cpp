#include "cli/result_table.h"

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "cli/client.h"
#include "protocol/postgres/wire.h"

namespace sallyport::cli {
namespace {

namespace pg = protocol::postgres;

constexpr std::size_t kWidest = 60;  // of a cell, in bytes

std::string cell(std::string text) {
  text = printable(std::move(text));
  for (auto& c : text)
    if (c == '\n' || c == '\t') c = ' ';
  if (text.size() <= kWidest) return text;
  std::size_t end = kWidest - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string binary_text(std::uint32_t type, std::string_view value) {
  pg::Cursor cursor(value);
  if (type == 16 && value.size() == 1) return value[0] ? "t" : "f";
  if (type == 21 && value.size() == 2) return std::to_string(cursor.i16());
  if (type == 23 && value.size() == 4) return std::to_string(cursor.i32());
  if (type == 26 && value.size() == 4) return std::to_string(cursor.u32());
  if (type == 20 && value.size() == 8) {
    const std::uint64_t high = cursor.u32();
    return std::to_string(static_cast<std::int64_t>(high << 32 | cursor.u32()));
  }
  if (type == 3802 && !value.empty()) return std::string(value.substr(1));
  if (type == 25 || type == 1043 || type == 1042 || type == 19 || type == 114 || type == 705) return std::string(value);
  return "\\x" + hex(as_bytes(value.substr(0, kWidest)));
}

class Tables {
 public:
  explicit Tables(std::size_t rows) : most_(rows) {}

  void message(char type, std::string_view body) {
    switch (type) {
      case 'T':
        flush();
        if (auto fields = pg::read_row_description(body)) fields_ = std::move(*fields);
        described_ = true;
        break;
      case 'D': row(body); break;
      case 'd': copied(body); break;
      case 'C': {
        flush();
        out_ += printable(std::string(pg::Cursor(body).text())) + "\n";
        break;
      }
      case 'E':
      case 'N': {
        flush();
        const auto fields = pg::read_notice(body);
        if (fields) out_ += printable(fmt::format("{}: {} {}", pg::field_of(*fields, 'S'), pg::field_of(*fields, 'C'), pg::field_of(*fields, 'M'))) + "\n";
        break;
      }
      case 's':
        flush();
        out_ += "(more rows were left in the portal)\n";
        break;
      default: break;
    }
  }

  std::string end() {
    flush();
    return std::move(out_);
  }

 private:
  void row(std::string_view body) {
    ++count_;
    if (most_ != 0 && rows_.size() >= most_) return;
    pg::Cursor cursor(body);
    auto& values = rows_.emplace_back();
    const auto columns = static_cast<std::uint16_t>(cursor.i16());
    for (unsigned i = 0; i < columns && cursor.ok(); ++i) {
      const auto length = cursor.i32();
      if (length < 0) {
        values.emplace_back("");
        continue;
      }
      const auto value = cursor.take(static_cast<std::size_t>(length));
      const bool binary = i < fields_.size() && fields_[i].format == 1;
      values.push_back(cell(binary ? binary_text(fields_[i].type, value) : std::string(value)));
    }
  }

  void copied(std::string_view body) {
    ++count_;
    if (most_ != 0 && count_ > most_) return;
    std::string text(body.substr(0, body.ends_with('\n') ? body.size() - 1 : body.size()));
    copy_ += printable(std::move(text)) + "\n";
  }

  void flush() {
    if (!copy_.empty()) {
      out_ += copy_;
      if (most_ != 0 && count_ > most_) out_ += fmt::format("({} rows, {} shown)\n", count_, most_);
    } else if (described_ || !rows_.empty()) {
      table();
    }
    copy_.clear();
    rows_.clear();
    fields_.clear();
    described_ = false;
    count_ = 0;
  }

  void table() {
    std::vector<std::string> names;
    for (const auto& field : fields_) names.push_back(cell(field.name));
    for (const auto& row : rows_)
      while (names.size() < row.size()) names.push_back(fmt::format("column {}", names.size() + 1));
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < names.size(); ++i) {
      widths.push_back(width(names[i]));
      for (const auto& row : rows_)
        if (i < row.size()) widths[i] = std::max(widths[i], width(row[i]));
    }
    const auto line = [&](const std::vector<std::string>& cells) {
      for (std::size_t i = 0; i < names.size(); ++i) {
        const std::string text = i < cells.size() ? cells[i] : "";
        out_ += (i ? " | " : " ") + text;
        if (i + 1 < names.size()) out_.append(widths[i] - std::min(widths[i], width(text)), ' ');
      }
      out_ += '\n';
    };
    line(names);
    for (std::size_t i = 0; i < names.size(); ++i) out_ += (i ? "-+-" : "-") + std::string(widths[i], '-');
    out_ += "-\n";
    for (const auto& row : rows_) line(row);
    out_ += rows_.size() < count_ ? fmt::format("({} rows, {} shown)\n", count_, rows_.size()) : fmt::format("({} row{})\n", count_, count_ == 1 ? "" : "s");
  }

  std::size_t most_, count_ = 0;
  bool described_ = false;
  std::vector<pg::Field> fields_;
  std::vector<std::vector<std::string>> rows_;
  std::string copy_, out_;
};

}  // namespace

std::string statement_text(std::string_view payload) {
  const auto document = json::Document::parse(std::string(payload));
  if (!document || !document->root()["sql"].is_string()) return printable(std::string(payload));
  std::string out = printable(std::string(document->root()["sql"].as_string()));
  std::size_t number = 0;
  for (const auto value : document->root()["parameters"]) out += fmt::format("\n  ${} = {}", ++number, printable(std::string(value.as_string())));
  return out;
}

std::string result_tables(std::string_view messages, std::size_t rows) {
  Tables tables(rows);
  std::string tail;
  while (!messages.empty()) {
    const auto head = pg::back_head(messages);
    if (!head || !*head || messages.size() < pg::kHead + (*head)->length) {
      tail = "(the record ends here, at its limit)\n";
      break;
    }
    tables.message((*head)->type, messages.substr(pg::kHead, (*head)->length));
    messages.remove_prefix(pg::kHead + (*head)->length);
  }
  return tables.end() + tail;
}

}  // namespace sallyport::cli
