#include "verify/report_html.h"

#include <algorithm>
#include <ctime>

#include "verify/controls.h"
#include "verify/veil.h"

namespace sallyport::verify {

namespace {
constexpr const char* kReadme =
    "This is an evidence pack of a Sallyport access gateway: entries of its log, and the proof that they are what was signed.\n"
    "\n"
    "    sallyport-verify pack THIS-FILE --key KEY\n"
    "\n"
    "says whether it is valid. KEY is the verifier key of the log. Get it from the people who run the gateway, by another\n"
    "road than this file. Nothing else is needed: no network, no account, no gateway.\n"
    "\n"
    "report.html is for reading. It proves nothing by itself; sallyport-verify makes it again from the entries and compares.\n"
    "controls.json says which controls the entries can support. It is supporting evidence, never certification.\n"
    "checkpoint is the signed head of the log (C2SP tlog-checkpoint), checkpoint-proof leads from the entries to it,\n"
    "entries/ holds every entry of the range: those that answer the question in full, of the others the leaf hash.\n"
    "The form of every file is described in docs/formats/pack.md of Sallyport.\n";
}  // namespace

std::string readme_of(const Manifest& manifest) {
  if (manifest.format != kPackFormatVeiled) return kReadme;
  return kReadme + std::string("\nSingle fields of what is disclosed can be hidden; report.html says where, and how many. The log holds a salted hash of each,\n"
                               "so that a withheld one can be shown later. Those that are shown were compared with theirs.\n");
}

namespace {

/// Characters that are not seen, or change how others are: bidi, joiners, line separators, tags, controls.
bool is_hidden(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x61C || c == 0x180E || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
         (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || (c >= 0xFFF0 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

std::string code_point(std::uint32_t c) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out = "<b class=u>U+";
  for (int shift = c > 0xFFFF ? 20 : 12; shift >= 0; shift -= 4) out += kDigits[c >> shift & 15];
  return out + "</b>";
}

std::string when(std::uint64_t wall) {
  const std::time_t seconds = static_cast<std::time_t>(wall / 1'000'000'000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32] = "";
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  const auto ms = std::to_string(wall / 1'000'000 % 1000 + 1000);
  return std::string(text) + "." + ms.substr(1) + "Z";
}

std::string milliseconds(std::uint64_t ns) { return std::to_string(ns / 1'000'000) + "." + std::to_string(ns / 100'000 % 10) + " ms"; }
std::string count(std::uint64_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

constexpr const char* kStyle =
    "body{font:14px/1.45 sans-serif;max-width:76em;margin:2em auto;padding:0 1em;color:#1b1f24;background:#fff}h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2em;border-bottom:1px solid #ccc}"
    "h3{font-size:1em;margin-bottom:.3em}table{border-collapse:collapse;width:100%;margin:.5em 0}td,th{border:1px solid #d5d9de;padding:.25em .5em;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere;unicode-bidi:isolate}th{background:#f2f4f6;white-space:nowrap}.n{text-align:right;white-space:nowrap}.p{white-space:nowrap}.block{color:#a40000;font-weight:bold}.hold{color:#8a5a00;font-weight:bold}"
    ".ok{color:#0a6b2d}.box{background:#f6f8fa;border:1px solid #d5d9de;padding:.6em 1em}.warn{background:#fff6e0;border:1px solid #e0c070;padding:.6em 1em}.u{color:#a40000;font-size:.8em}code{font-size:.9em}";

class Html {
 public:
  Html(const Manifest& m, const Hash& root, const PackStory& story, const Openings& names) : m_(m), root_(root), story_(story), names_(names) {
    for (std::size_t i = 0; i < story.commands().size(); ++i) rows_.emplace(story.commands()[i].session, i);
  }

  std::string page() {
    out_ = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
           "<title>Evidence report</title><style>" + std::string(kStyle) + "</style></head><body>\n<h1>Evidence report: " + html(m_.origin) + "</h1>\n";
    out_ += "<p class=warn>This page is for reading and proves nothing by itself. <code>sallyport-verify pack FILE --key KEY</code> checks the pack and makes this page again.</p>\n";
    completeness();
    gaps();
    not_covered();
    overview();
    for (std::size_t i = 0; i < std::min(story_.sessions().size(), kMostSessionsShown); ++i) session(i);
    if (story_.sessions().size() > kMostSessionsShown) out_ += "<p class=warn>The first " + std::to_string(kMostSessionsShown) + " sessions are shown; " + std::to_string(story_.sessions().size() - kMostSessionsShown) + " more are in the pack.</p>\n";
    if (m_.commands > story_.commands().size()) out_ += "<p class=warn>The first " + count(story_.commands().size(), "command") + " of " + std::to_string(m_.commands) + " are listed one by one.</p>\n";
    events();
    control_mapping();
    return out_ + "</body></html>\n";
  }

 private:
  void row(std::string_view head, const std::string& cell) { out_ += "<tr><th>" + html(head) + "</th><td>" + cell + "</td></tr>\n"; }
  std::string who(const std::string& identity) const {
    const auto at = names_.find(identity);
    return at == names_.end() ? html(identity) : html(at->second) + " (" + html(identity) + ")";
  }

  /// A recorded text, or that there is one.
  static std::string shown(const std::string& text, bool hidden) { return hidden ? "<i>hidden</i>" : html(text); }

  void completeness() {
    const auto& q = m_.query;
    std::string asked;
    const auto part = [&](const char* name, const std::string& value) { if (!value.empty()) asked += (asked.empty() ? "" : "; ") + std::string(name) + " " + html(value); };
    for (const auto& one : q.sessions) part("session", one);
    part("user", q.user), part("target", q.target), part("kind", q.kind), part("from", q.from), part("from entry", q.from_index), part("to", q.to), part("to entry", q.to_index);
    const auto hidden = m_.fields_withheld + m_.fields_erased + m_.fields_sealed;
    out_ += "<h2>What is proven</h2>\n<div class=box><p>";
    if (m_.a == m_.b) out_ += "The range holds no entry.";
    else out_ += "Every entry from number " + std::to_string(m_.a) + " to " + std::to_string(m_.b - 1) + " is accounted for: <b>" + std::to_string(m_.b - m_.a) + "</b> entries, of which <b>" + std::to_string(m_.disclosed) +
                 "</b> are disclosed" + (hidden == 0 ? " in full" : "") + " and <b>" + std::to_string(m_.withheld) + "</b> are withheld" + (m_.withheld == 0 ? "." : " (their hashes stand in their places; the gateway's operator says that they do not match the question).");
    if (hidden > 0) out_ += " Of what is disclosed <b>" + count(hidden, "single field") + "</b>" + (hidden == 1 ? " is" : " are") + " hidden.";
    out_ += " All are proven under the signed head of " + std::to_string(m_.size) + (m_.size == 1 ? " entry" : " entries") + ".</p></div>\n<table>\n";
    row("Log", html(m_.origin));
    row("Signed head", std::to_string(m_.size) + " entries, root <code>" + hex(root_) + "</code>");
    row("Question", asked.empty() ? "everything" : asked);
    row("Payloads", "asked: " + html(q.payloads) + (q.disclose.empty() ? "" : ", " + std::to_string(q.disclose.size()) + " opened by index") + ". Opened " + std::to_string(m_.opened) + ", sealed " + std::to_string(m_.sealed) +
                        ", erased " + std::to_string(m_.erased) + ", not included " + std::to_string(m_.none));
    if (m_.format == kPackFormatVeiled)
      row("Single fields", "asked to withhold: " + (q.withhold.empty() ? "none" : names_of(withheld_of(q))) + ". Of those that are veiled in the log: opened " + std::to_string(m_.fields_opened) + ", withheld " + std::to_string(m_.fields_withheld) + ", erased " +
                               std::to_string(m_.fields_erased) + ", sealed " + std::to_string(m_.fields_sealed));
    row("Earlier heads in the range", std::to_string(m_.checkpoints) + (m_.checkpoints == 0 ? "" : ", all borne out by the entries"));
    row("Timestamps of third parties", std::to_string(m_.timestamps.size()) + (m_.timestamps.empty() ? "" : " (listed, not judged here)"));
    row("Made by", html(m_.tool));
    out_ += "</table>\n";
  }

  void gaps() {
    out_ += "<h2>Gaps</h2>\n<ul>\n";
    const auto item = [&](const std::string& text) { out_ += "<li>" + text + "</li>\n"; };
    std::size_t open = 0;
    for (const auto& one : m_.sessions) open += !one.complete;
    for (const auto index : m_.gaps) item("Entry " + std::to_string(index) + ": the gateway did not stop in order, or declared a gap; see the events below.");
    for (const auto& one : m_.missing_policies) item("The text of policy <code>" + hex(one) + "</code> is not in the pack.");
    if (m_.erased > 0) item(count(m_.erased, "payload") + " cannot be opened: the key of the session was erased.");
    if (m_.none > 0) item(count(m_.none, "payload") + " of disclosed entries not included.");
    if (m_.sealed > 0) item(count(m_.sealed, "payload") + " of disclosed entries included sealed: unchanged, and not readable without the gateway's keys.");
    if (m_.fields_withheld > 0) item(count(m_.fields_withheld, "field") + " of disclosed entries withheld (" + names_of(withheld_of(m_.query)) + "). Where one would stand it says <i>hidden</i>; the entry is bound to it, and it can be shown later.");
    if (m_.fields_erased > 0) item(count(m_.fields_erased, "field") + " cannot be shown any more: the key of the session was erased.");
    if (m_.fields_sealed > 0) item(count(m_.fields_sealed, "field") + " included sealed: not readable without the gateway's keys.");
    if (open > 0) item(count(open, "session") + " not complete here: begun before the range, not closed in it, or partly withheld.");
    if (m_.gaps.empty() && m_.missing_policies.empty() && m_.erased + m_.none + m_.sealed + m_.fields_withheld + m_.fields_erased + m_.fields_sealed + open == 0) item("None.");
    out_ += "</ul>\n";
  }

  void not_covered() {
    out_ += "<h2>What this does not prove</h2>\n<ul>\n<li>That nothing happened that was never written: who controls the gateway's host can leave things out from then on.</li>\n"
            "<li>That no other log was shown to somebody else: that takes witnesses, whose signatures on the head are not judged here.</li>\n"
            "<li>That what is withheld does not match the question. Sessions are numbered densely, so of a disclosed session nothing can be missing unnoticed.</li>\n"
            "<li>The time of day: order is proven, times are the gateway's own clock.</li>\n"
            "<li>What sealed, erased and missing payloads say.</li>\n";
    if (m_.format == kPackFormatVeiled) out_ += "<li>What hidden fields say.</li>\n";
    out_ += "</ul>\n";
  }

  void overview() {
    out_ += "<h2>Sessions</h2>\n<p>" + count(m_.sessions.size(), "session") + ", " + count(m_.commands, "command") + ", " + count(m_.outcomes, "outcome") + ".</p>\n<table><tr><th>Session</th><th>Who</th><th>Target</th><th>Opened</th>"
            "<th>Closed</th><th>Commands</th><th>Blocked</th><th>Held</th><th>Masked values</th><th>Complete</th></tr>\n";
    for (std::size_t i = 0; i < std::min(story_.sessions().size(), kMostSessionsShown); ++i) {
      const auto& s = story_.sessions()[i];
      out_ += "<tr><td><code>" + hex(View(s.id).first(4)) + "</code></td><td>" + who(s.subject) + (s.agent.empty() ? "" : " by agent " + who(s.agent)) + "</td><td>" + shown(s.target, s.hidden & kTargetField) + "</td><td>" +
              (s.known ? when(s.opened_wall) : "before the range") + "</td><td>" + (s.closed ? when(s.closed_wall) : "not in the range") + "</td><td class=n>" + std::to_string(s.commands) + "</td><td class=n>" +
              std::to_string(s.blocked) + "</td><td class=n>" + std::to_string(s.held) + "</td><td class=n>" + std::to_string(s.masked) + "</td><td>" + (m_.sessions[i].complete ? "yes" : "no") + "</td></tr>\n";
    }
    out_ += "</table>\n";
  }

  void session(std::size_t i) {
    const auto& s = story_.sessions()[i];
    out_ += "<h3>Session <code>" + hex(s.id) + "</code></h3>\n<p>" + who(s.subject) + (s.issuer.empty() ? "" : " (" + html(s.issuer) + ")") + (s.agent.empty() ? "" : ", agent " + who(s.agent)) + " on " + shown(s.target, s.hidden & kTargetField) +
            (s.protocol.empty() ? "" : ", " + html(s.protocol)) + (s.peer.empty() && (s.hidden & kPeerField) == 0 ? "" : ", from " + shown(s.peer, s.hidden & kPeerField)) +
            (s.software.empty() && (s.hidden & kSoftwareField) == 0 ? "" : ", " + shown(s.software, s.hidden & kSoftwareField)) + (s.reason.empty() ? "" : "; ended: " + html(s.reason)) +
            (m_.sessions[i].erased ? "; <b>its payloads were erased</b>" : "") + "</p>\n";
    const auto [from, to] = rows_.equal_range(i);
    if (from == to) return;
    out_ += "<table><tr><th>Entry</th><th>When</th><th>What</th><th>Decision</th><th>Rules</th><th>Approval</th><th>Masked</th><th>Outcome</th><th>Payload</th></tr>\n";
    for (auto at = from; at != to; ++at) command(story_.commands()[at->second], m_.sessions[i].erased);
    out_ += "</table>\n";
  }

  void command(const CommandRow& c, bool erased) {
    static constexpr const char* kDecision[] = {"?", "<span class=ok>allowed</span>", "<span class=block>blocked</span>", "<span class=hold>held</span>"};
    static constexpr const char* kResult[] = {"", "ok", "error", "denied", "cancelled", "interrupted", "failed"};
    out_ += "<tr><td class=n>" + std::to_string(c.index) + "</td><td>" + when(c.wall) + "</td><td>" + shown(c.action, c.hidden & kActionField) + (c.object.empty() && (c.hidden & kObjectField) == 0 ? "" : "<br>" + shown(c.object, c.hidden & kObjectField)) + "</td><td>" + kDecision[std::min<std::uint64_t>(c.decision, 3)] +
            (c.reason.empty() && (c.hidden & kReasonField) == 0 ? "" : "<br>" + shown(c.reason, c.hidden & kReasonField)) + "</td><td>" + html(c.rules) + "</td><td>";
    if (!c.approval.empty()) {
      out_ += html(c.approval);
      if (const auto at = story_.approvals().find(c.approval); at != story_.approvals().end()) {
        out_ += "<br>" + html(at->second.state);
        for (const auto& one : at->second.approvers) out_ += "<br>" + who(one);
      }
    }
    out_ += "</td><td>" + html(c.masked) + "</td><td>";
    if (c.outcome != 0) {
      out_ += std::string(kResult[std::min<std::uint64_t>(c.result, 6)]) + " (entry " + std::to_string(c.outcome) + "), " + std::to_string(c.sent) + " bytes, " + (c.items == 0 ? "" : count(c.items, "item") + ", ") + milliseconds(c.duration);
      if (!c.error.empty() || (c.hidden & kErrorField) != 0) out_ += "<br>" + shown(c.error, c.hidden & kErrorField);
    } else {
      out_ += c.decision == 1 ? "not in the range" : "none: it did not run";
    }
    out_ += "</td><td class=p>" + (c.payload ? payload(c.index, erased) : "") + (c.answer ? (c.payload ? "<br>" : "") + payload(c.outcome, erased) : "") + "</td></tr>\n";
  }

  std::string payload(std::uint64_t index, bool erased) const {
    static constexpr const char* kWords[] = {"not included", "sealed", "opened", "erased"};
    return std::to_string(index) + ": " + kWords[static_cast<std::size_t>(disposition_of(m_.query, index, erased))];
  }

  void events() {
    if (story_.events().empty() && story_.approvals().empty()) return;
    out_ += "<h2>Events outside sessions</h2>\n";
    if (!story_.events().empty()) {
      out_ += "<table><tr><th>Entry</th><th>When</th><th>Kind</th><th>Who</th><th>What</th></tr>\n";
      for (const auto& e : story_.events())
        out_ += "<tr><td class=n>" + std::to_string(e.index) + "</td><td>" + when(e.wall) + "</td><td>" + name_of(e.kind) + "</td><td>" + who(e.subject) + "</td><td>" + html(e.what) + (e.hidden == 0 ? "" : std::string(e.what.empty() ? "" : ", ") + "<i>hidden</i>: " + names_of(e.hidden)) + "</td></tr>\n";
      out_ += "</table>\n";
      if (story_.event_count() > story_.events().size()) out_ += "<p class=warn>The first " + std::to_string(story_.events().size()) + " of " + std::to_string(story_.event_count()) + " events are listed.</p>\n";
    }
    if (story_.approvals().empty()) return;
    out_ += "<table><tr><th>Approval</th><th>Asked by</th><th>Why</th><th>State</th><th>By</th></tr>\n";
    std::size_t rows = 0;
    for (const auto& [id, a] : story_.approvals()) {
      if (++rows > kMostSessionsShown) break;
      std::string by;
      for (const auto& one : a.approvers) by += (by.empty() ? "" : "<br>") + who(one);
      out_ += "<tr><td>" + html(id) + "</td><td>" + who(a.requester) + "</td><td>" + shown(a.reason, a.reason_hidden) + "</td><td>" + html(a.state) + "</td><td>" + by + "</td></tr>\n";
    }
    out_ += "</table>\n";
  }

  void control_mapping() {
    out_ += "<h2>Controls</h2>\n<p class=warn>" + html(kControlsDisclaimer) + "</p>\n<table><tr><th>Evidence</th><th>Entries</th><th>SOC 2</th><th>ISO 27001:2022 Annex A</th><th>PCI DSS 4.0</th><th>HIPAA</th></tr>\n";
    out_ += "<tr><td>Signed head and proof over every entry</td><td>all</td><td>CC7.2</td><td>5.28 5.33 8.15</td><td>10.3.2 10.3.4 10.5.1</td><td>164.312(c)(1) 164.312(c)(2)</td></tr>\n";
    for (const auto& one : controls()) {
      const auto at = story_.features().find(one.feature);
      if (at == story_.features().end()) continue;
      const auto& f = at->second;
      out_ += "<tr><td>" + html(one.title) + "</td><td>" + std::to_string(f.count) + (f.count == 1 ? ": entry " + std::to_string(f.first) : ": entries " + std::to_string(f.first) + " to " + std::to_string(f.last)) + "</td><td>" +
              one.soc2 + "</td><td>" + one.iso + "</td><td>" + one.pci + "</td><td>" + one.hipaa + "</td></tr>\n";
    }
    out_ += "</table>\n";
  }

  const Manifest& m_;
  const Hash& root_;
  const PackStory& story_;
  const Openings& names_;
  std::multimap<std::size_t, std::size_t> rows_;   // session to commands, in their order
  std::string out_;
};

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    std::uint32_t point = n == 1 ? c : n == 2 ? c & 0x1F : n == 3 ? c & 0x0F : c & 0x07;
    if (i + n > text.size() || !is_utf8(text.substr(i, n))) {  // none of what an entry holds, but this takes any text
      out += "<b class=u>?</b>";
      ++i;
      continue;
    }
    for (std::size_t k = 1; k < n; ++k) point = point << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    if (is_hidden(point)) out += code_point(point);
    else if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else if (c == '\'') out += "&#39;";
    else out += text.substr(i, n);
    i += n;
  }
  return out;
}

std::string report_html(const Manifest& manifest, const Hash& root, const PackStory& story, const Openings& names) { return Html(manifest, root, story, names).page(); }

}  // namespace sallyport::verify
