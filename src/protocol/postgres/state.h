#pragma once
// What a session remembers between messages: the endpoint's shared parts, prepared statements and portals with the facts
// of their texts, and the commands under way. Plain data of one session, its worker's thread.
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "enforce/gate.h"
#include "protocol/postgres/client_out.h"
#include "protocol/postgres/rows.h"
#include "protocol/postgres/wire.h"
#include "sql/shapes.h"

namespace sallyport::protocol::postgres {

/// A prepared statement, by Parse or by PREPARE: they share one space of names.
struct Prepared {
  std::string text;
  enforce::SqlEffectsPtr effects;
  std::vector<std::uint32_t> types;                    // of parameters, as far as said
  std::optional<std::vector<Field>> fields;            // of its result, once described; empty for none
  std::string description;                             // as a RowDescription with `described_formats`, for the record
  std::vector<std::int16_t> described_formats;
  bool asked = false;                                  // a description is on its way
};
using PreparedPtr = std::shared_ptr<Prepared>;

/// One statement between its intent and its outcome.
struct Command {
  enforce::Action action;          // a Statement, as judged; views into what follows
  enforce::Hold hold;
  std::string text;
  std::vector<std::string> parameters;
  PreparedPtr prepared;            // whose text it runs
  std::vector<std::int16_t> formats;   // of result columns; `formats_known` false for simple queries
  bool barrier = false;            // what follows may be judged only after its answer
  bool simple = false;
  bool begins = false;
  bool counted = false;            // among the session's barriers and begins

  std::optional<enforce::Running> running;   // allowed and not finished
  std::optional<enforce::Denial> denial;
  std::string missing;             // a name that nobody prepared, declared or bound: the server's own error tells the client
  std::string problem, unsure;     // why it cannot be judged; why masking cannot follow it
  bool not_grammar = false;        // the grammar refused the text
  sql::AnalysisPtr analysis;       // of its own text, which may name another's
  enforce::SqlMaskingPtr masking;
  ClientOut::GatePtr intent;       // commit: overlapped: open once its entry is durable
  bool intent_waits = false;       // its answer is to be held behind that gate
  std::string portal;              // that it is bound to
  std::string name;                // of the prepared statement it defines or runs
  bool formats_unknown = false;    // its Bind was too long to be read

  // Its answer.
  std::unique_ptr<RowMask> rows;
  std::unique_ptr<CopyMask> copy;
  bool described = false;          // `rows` was made
  bool over = false;               // finished, denied or dropped
  bool failed = false;             // the server's error has come
  std::uint64_t row_count = 0, bytes = 0, limit_rows = UINT64_MAX;
  std::uint64_t copied_in = 0;
  bool over_limit = false, cancelled_by_us = false;
  std::string error, sqlstate, tag;
};
using CommandPtr = std::shared_ptr<Command>;

struct Portal {
  CommandPtr command;              // that bound it
  PreparedPtr prepared;
  std::vector<std::int16_t> formats;
  std::uint64_t sync = 0;          // the session's count when it was bound
  bool executed = false;
  std::shared_ptr<Portal> before;  // that had the name, until the target has said that it is bound
};
using PortalPtr = std::shared_ptr<Portal>;

/// The answer that is due for one message that was sent.
struct Expected {
  char kind = 0;                   // Q, P, B, D (statement), d (portal), E, C, S, F
  CommandPtr command;
  PreparedPtr prepared;            // of P and D
  bool internal = false;           // the gateway's own: its answer is not for the client
};

/// One message, or several under one permit, on the way to the target.
struct Outgoing {
  CommandPtr command;              // whose verdict it waits for; null: goes at once
  bool judged = true;
  bool waits = false;              // it goes with a permit only
  std::optional<target::Permit> permit;
  std::string control;
  std::vector<Expected> expects;
  bool sync = false;
};

}  // namespace sallyport::protocol::postgres
