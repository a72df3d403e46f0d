#include "protocol/postgres/rows.h"

namespace sallyport::protocol::postgres {

using enforce::MaskCounts;
using enforce::MaskWith;

std::unique_ptr<RowMask> RowMask::make(enforce::SqlMaskingPtr masking, sql::SchemaPtr schema, const std::vector<Field>& fields,
                                       const std::vector<std::int16_t>& formats) {
  if (!masking || masking->none()) return nullptr;
  auto out = std::make_unique<RowMask>();
  const bool detects = !masking->masker->empty();
  bool any = false;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& field = fields[i];
    Column column;
    column.rule = masking->column(field.table, field.number, i, field.name);
    column.type = field.type;
    column.kind = kind_of(field.type, schema.get());
    column.binary = (formats.empty() ? field.format : Bind::format(formats, i)) == 1;
    if (column.rule != nullptr) {
      column.count_key = column.rule->id + ":" + field.name;
      // Of a value that was made from a masked one it is not known which part identifies.
      const auto number = static_cast<std::int16_t>(field.number);
      const bool made = field.table == 0 || field.number == 0 || (masking->columns && masking->columns->derived.contains({field.table, number}));
      column.with = made && column.rule->with == MaskWith::Partial ? MaskWith::Redact : column.rule->with;
    }
    any = any || column.rule != nullptr || (detects && column.kind != TypeKind::Fixed && column.kind != TypeKind::Bytes && column.kind != TypeKind::Array);
    out->columns_.push_back(std::move(column));
  }
  if (!any) return nullptr;
  out->masking_ = std::move(masking);
  out->schema_ = std::move(schema);
  return out;
}

Result<bool> RowMask::apply(std::string_view body, MaskCounts& counts, std::string& out) {
  Cursor cursor(body);
  const auto count = static_cast<std::uint16_t>(cursor.i16());
  if (count != columns_.size()) return fail(ErrorKind::Malformed, "the server sent a row of another number of columns than it described");
  const auto begin = out.size();
  std::size_t begun = 0;
  bool changed = false;
  const bool detects = !masking_->masker->empty();
  const char* unchanged = body.data() + 2;  // what follows here is not copied yet
  const auto replace = [&](const char* from, const char* until, const std::optional<std::string_view>& with) {
    if (!changed) {
      begun = begin_message(out, 'D');
      out.append(body.substr(0, 2));
      changed = true;
    }
    out.append(unchanged, static_cast<std::size_t>(from - unchanged));
    put_u32(out, with ? static_cast<std::uint32_t>(with->size()) : 0xFFFFFFFFu);
    if (with) out.append(*with);
    unchanged = until;
  };
  for (const auto& column : columns_) {
    const char* from = cursor.rest().data();
    const auto length = cursor.i32();
    if (length == -1) continue;
    if (length < 0) return fail(ErrorKind::Malformed, "the server sent a value of negative length");
    const auto value = cursor.take(static_cast<std::size_t>(length));
    if (!cursor.ok()) break;
    if (column.rule != nullptr) {
      const auto masked = masked_value(column.type, column.kind, column.binary, value, column.with);
      ++counts[column.count_key];
      replace(from, cursor.rest().data(), masked ? std::optional<std::string_view>(*masked) : std::nullopt);
    } else if (detects && !value.empty()) {
      bool unclear = false;
      if (detect_in_value(column.kind, column.binary, value, *masking_->masker, counts, scratch_, unclear)) replace(from, cursor.rest().data(), scratch_);
      else if (unclear) return fail(ErrorKind::Malformed, "the server sent a value that is not of its type");
    }
  }
  if (!cursor.done()) {
    out.resize(begin);
    return fail(ErrorKind::Malformed, "the server sent a row of another length than its values have");
  }
  if (!changed) return false;
  out.append(unchanged, static_cast<std::size_t>(body.data() + body.size() - unchanged));
  end_message(out, begun);
  return true;
}

// ---- COPY ----------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<CopyMask>> CopyMask::make(enforce::SqlMaskingPtr masking, const sql::Analysis& analysis, sql::SchemaPtr schema) {
  if (!masking || masking->none()) return nullptr;
  auto out = std::make_unique<CopyMask>();
  if (analysis.copy_format == "binary") out->format_ = Format::Binary;
  else if (analysis.copy_format == "csv") out->format_ = Format::Csv;
  else if (analysis.copy_format != "text") return fail(ErrorKind::Denied, "COPY in the format " + analysis.copy_format + " cannot be masked");
  out->delimiter_ = analysis.copy_delimiter;
  out->quote_ = analysis.copy_quote;
  out->escape_ = analysis.copy_escape;
  out->null_ = analysis.copy_null;
  out->header_ = analysis.copy_header;
  if (masking->columns && (masking->flow->touches || masking->whole)) {
    if (!analysis.outputs.empty()) {
      // The server describes no columns here, so only names say what is masked. (SqlMaskings::find has denied a query with *.)
      if (!masking->flow->positional) return fail(ErrorKind::Denied, "COPY of a query with * cannot be followed");
      for (std::size_t i = 0; i < masking->flow->columns.size(); ++i) out->columns_.push_back(masking->column(0, 0, i, ""));
      out->types_ = masking->flow->types;
    } else if (analysis.relations.size() == 1) {
      const auto& relation = analysis.relations[0];
      std::size_t tables = 0;
      schema->each(relation.schema, relation.name, [&](const sql::Table& table) {
        // Of several tables of that name (in other schemas) whichever masks a column masks it.
        ++tables;
        auto names = analysis.copy_columns;
        if (names.empty())
          for (const auto& column : table.columns)
            if (!column.generated) names.push_back(column.name);
        const auto width = names.size();
        if (out->columns_.size() < width) out->columns_.resize(width);
        if (out->types_.size() < width) out->types_.resize(width);
        for (std::size_t i = 0; i < width; ++i)
          for (const auto& column : table.columns)
            if (column.name == names[i]) {
              out->types_[i] = column.type;
              if (const auto* rule = masking->column(table.oid, column.number, i, column.name)) out->columns_[i] = rule;
            }
      });
      if (tables == 0) return fail(ErrorKind::Denied, "COPY of a table that is not in the catalog cannot be followed");
    } else {
      return fail(ErrorKind::Denied, "this COPY cannot be followed");
    }
  }
  out->masking_ = std::move(masking);
  out->schema_ = std::move(schema);
  return out;
}

std::optional<std::string> CopyMask::masked(const enforce::MaskRule& rule, std::size_t column, std::string_view value) const {
  const auto type = column < types_.size() ? types_[column] : 0u;
  return type == 0 ? std::nullopt : masked_value(type, kind_of(type, schema_.get()), false, value, rule.with);
}

Result<bool> CopyMask::apply(std::string_view body, MaskCounts& counts, std::string& out) {
  const auto begin = out.size();
  const auto begun = begin_message(out, 'd');
  auto changed = format_ == Format::Text ? text(body, counts, out) : format_ == Format::Csv ? csv(body, counts, out) : binary(body, counts, out);
  if (!changed || !*changed) out.resize(begin);
  else end_message(out, begun);
  return changed;
}

namespace {

/// A text of COPY's text format without its escapes, and with them again.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    out += c == 'b' ? '\b' : c == 'f' ? '\f' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c == 'v' ? '\v' : c;
  }
  return out;
}

std::string escaped(std::string_view text, char delimiter) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\v': out += "\\v"; break;
      default:
        if (c == '\\' || c == delimiter) out += '\\';
        out += c;
    }
  }
  return out;
}

}  // namespace

Result<bool> CopyMask::text(std::string_view body, MaskCounts& counts, std::string& out) {
  bool changed = false;
  std::string masked;
  while (!body.empty()) {
    const auto end = body.find('\n');
    if (end == std::string_view::npos) return fail(ErrorKind::Malformed, "the server sent half a row of COPY");
    auto row = body.substr(0, end);
    body.remove_prefix(end + 1);
    const bool heading = header_ && !std::exchange(begun_, true);
    for (std::size_t column = 0;; ++column) {
      // A delimiter within a value has a backslash before it.
      std::size_t stop = 0;
      while (stop < row.size() && row[stop] != delimiter_) stop += row[stop] == '\\' ? 2 : 1;
      stop = std::min(stop, row.size());
      const auto value = row.substr(0, stop);
      const auto* masks = rule(column);
      if (heading || value == null_) {
        out.append(value);
      } else if (masks != nullptr) {
        changed = true;
        ++counts[masks->id + ":copy"];
        const auto with = this->masked(*masks, column, unescaped(value));
        out.append(with ? escaped(*with, delimiter_) : null_);
      } else if (masking_->masker->mask_view(unescaped(value), masked, counts)) {
        changed = true;
        out.append(escaped(masked, delimiter_));
      } else {
        out.append(value);
      }
      if (stop == row.size()) break;
      out += delimiter_;
      row.remove_prefix(stop + 1);
    }
    out += '\n';
  }
  return changed;
}

Result<bool> CopyMask::csv(std::string_view body, MaskCounts& counts, std::string& out) {
  bool changed = false;
  std::string masked;
  std::size_t column = 0, at = 0;
  while (at < body.size()) {
    const bool quoted = body[at] == quote_;
    std::string value;
    const auto from = at;
    if (quoted) {
      for (++at;; ++at) {
        if (at >= body.size()) return fail(ErrorKind::Malformed, "the server sent half a row of COPY");
        if (body[at] == escape_ && at + 1 < body.size() && (body[at + 1] == quote_ || body[at + 1] == escape_)) {
          value += body[++at];
        } else if (body[at] == quote_) {
          break;
        } else {
          value += body[at];
        }
      }
      ++at;
    } else {
      while (at < body.size() && body[at] != delimiter_ && body[at] != '\n' && body[at] != '\r') value += body[at++];
    }
    if (at >= body.size()) return fail(ErrorKind::Malformed, "the server sent half a row of COPY");
    const bool heading = header_ && !begun_;
    const auto* masks = rule(column);
    const bool null = !quoted && value == null_;
    std::optional<std::string> with;
    bool replaced = false;
    if (!heading && !null && masks != nullptr) {
      ++counts[masks->id + ":copy"];
      with = this->masked(*masks, column, value);
      replaced = true;
    } else if (!heading && !null && masking_->masker->mask_view(value, masked, counts)) {
      with = masked;
      replaced = true;
    }
    if (!replaced) {
      out.append(body.substr(from, at - from));
    } else if (!with) {
      out.append(null_);
    } else {
      out += quote_;
      for (const char c : *with) {
        if (c == quote_ || c == escape_) out += escape_;
        out += c;
      }
      out += quote_;
    }
    changed |= replaced;
    const char stop = body[at];
    out += stop;
    ++at;
    if (stop == delimiter_) {
      ++column;
      continue;
    }
    if (stop == '\r' && at < body.size() && body[at] == '\n') out += body[at++];
    column = 0;
    begun_ = true;
  }
  return changed;
}

Result<bool> CopyMask::binary(std::string_view body, MaskCounts& counts, std::string& out) {
  static constexpr std::string_view kSignature("PGCOPY\n\377\r\n\0", 11);
  bool changed = false;
  Cursor cursor(body);
  if (!begun_) {
    const auto signature = cursor.take(kSignature.size());
    const auto flags = cursor.u32();
    const auto extension = cursor.u32();
    const auto more = cursor.take(extension);
    if (!cursor.ok() || signature != kSignature) return fail(ErrorKind::Malformed, "the server sent no binary COPY");
    out.append(signature);
    put_u32(out, flags);
    put_u32(out, extension);
    out.append(more);
    begun_ = true;
  }
  std::string masked;
  while (cursor.ok() && !cursor.rest().empty()) {
    const auto count = cursor.i16();
    put_u16(out, static_cast<std::uint16_t>(count));
    if (count == -1) continue;
    for (std::int16_t column = 0; column < count && cursor.ok(); ++column) {
      const auto length = cursor.i32();
      if (length == -1) {
        put_u32(out, 0xFFFFFFFFu);
        continue;
      }
      const auto value = cursor.take(length < 0 ? SIZE_MAX : static_cast<std::size_t>(length));
      const auto position = static_cast<std::size_t>(column);
      const auto type = position < types_.size() ? types_[position] : 0u;
      const auto kind = type == 0 ? TypeKind::Other : kind_of(type, schema_.get());
      std::optional<std::string_view> shown = value;
      std::optional<std::string> with;
      bool unclear = false;
      if (const auto* masks = rule(position)) {
        ++counts[masks->id + ":copy"];
        with = masked_value(type, kind, true, value, masks->with);
        shown = with ? std::optional<std::string_view>(*with) : std::nullopt;
        changed = true;
      } else if (!masking_->masker->empty() && detect_in_value(kind, true, value, *masking_->masker, counts, masked, unclear)) {
        shown = masked;
        changed = true;
      }
      if (unclear) return fail(ErrorKind::Malformed, "the server sent a value that is not of its type");
      put_u32(out, shown ? static_cast<std::uint32_t>(shown->size()) : 0xFFFFFFFFu);
      if (shown) out.append(*shown);
    }
  }
  if (!cursor.done()) return fail(ErrorKind::Malformed, "the server sent half a row of COPY");
  return changed;
}

}  // namespace sallyport::protocol::postgres
