// What the conformance tables leave open: facts and JSON, error texts, unknowns, limits and costs.
#include <thread>

#include "cel_case.h"

namespace sallyport::enforce::cel {
namespace {

std::string repeated(std::string_view text, int times, std::string_view separator = "") {
  std::string out;
  for (int i = 0; i < times; ++i) out.append(i ? separator : "").append(text);
  return out;
}

TEST(CelFacts, AreReadByTheirDottedNames) {
  static constexpr Case kCases[] = {
      {"user.subject", "\"alice\""},
      {"user.email", "\"alice@corp.example\""},
      {"user.groups", "[\"engineers\", \"oncall\"]"},
      {"user.agent", "\"\""},
      {"user.issuer", "\"local\""},
      {"target.name", "\"tickets\""},
      {"target.labels", "{\"data\": \"pii\", \"env\": \"prod\"}"},
      {"target.labels.env == 'prod' && target.labels['data'] == 'pii'", "true"},
      {"target.labels.region == 'eu'", "error: no such key: target.labels.region"},
      {"has(target.labels.region)", "false"},
      {"'env' in target.labels", "true"},
      {"'oncall' in user.groups && size(user.groups) == 2 && user.groups[1] == 'oncall'", "true"},
      {"user.groups.exists(g, g.startsWith('on'))", "true"},
      {"user.groups.all(g, g.startsWith('on'))", "false"},
      {"target.labels.exists(k, target.labels[k] == 'pii')", "true"},
      {"mcp.tool + ':' + mcp.method", "\"read_file:tools/call\""},
      {"mcp.resource == '' && mcp.prompt == '' && mcp.direction == 'client'", "true"},
      {".mcp.tool", "\"read_file\""},
      {"['x'].all(mcp, mcp == 'x' && .mcp.tool == 'read_file')", "true"},
      {"['x'].all(mcp, mcp.tool == 'x')", "<refused>: 19 a string has no field \"tool\""},
  };
  expect_cases(kCases);
}

TEST(CelJson, HasTheKindsOfItsValues) {
  static constexpr Case kCases[] = {
      {"mcp.args.path", "\"/etc/passwd\""},
      {"mcp.args['path'] == mcp.args.path && mcp.args.`path` == mcp.args.path", "true"},
      {"mcp.args.n == 3 && mcp.args.n == 3.0 && mcp.args.n == 3u", "true"},
      {"mcp.args.n + 1", "4"},
      {"mcp.args.ratio < 1", "true"},
      {"mcp.args.n == '3'", "false"},
      {"mcp.args.n < '3'", "error: no such overload, the types do not fit: mcp.args.n < '3'"},
      {"mcp.args.ok", "true"},
      {"mcp.args.none == null && mcp.args.n != null", "true"},
      {"mcp.args.tags == ['a', 'b'] && 'b' in mcp.args.tags && mcp.args.tags[1] == 'b'", "true"},
      {"mcp.args.tags[2]", "error: index out of range: mcp.args.tags[2]"},
      {"mcp.args.tags[-1]", "error: index out of range: mcp.args.tags[-1]"},
      {"mcp.args.tags['a']", "error: no such overload, the types do not fit: mcp.args.tags['a']"},
      {"mcp.args.tags.path", "error: no such overload, the types do not fit: mcp.args.tags.path"},
      {"mcp.args.path.x", "error: no such overload, the types do not fit: mcp.args.path.x"},
      {"mcp.args.deep.x[1].y", "\"z\""},
      {"mcp.args.deep == {'x': [1, {'y': 'z'}]}", "true"},
      {"mcp.args.deep == {'x': [1, {'y': 'q'}]}", "false"},
      {"has(mcp.args.none) && !has(mcp.args.nothing) && has(mcp.args.deep.x)", "true"},
      {"has(mcp.args.nothing.x)", "error: no such key: mcp.args.nothing"},
      {"mcp.args.exists(k, k == 'tags') && size(mcp.args) == 7", "true"},
      {"mcp.args.deep.x.exists(e, e == 1)", "true"},
      {"mcp.args.path.exists(c, c == '/')", "error: no such overload, the types do not fit: mcp.args.path.exists(c, c == '/')"},
      {"size(mcp.args.n)", "error: no such overload, the types do not fit: size(mcp.args.n)"},
      {"mcp.args.path.matches('^/etc/') && !mcp.args.path.matches('^etc')", "true"},
      {"mcp.args.n.matches('3')", "error: no such overload, the types do not fit: mcp.args.n.matches('3')"},
      {"mcp.args", "{\"path\": \"/etc/passwd\", \"n\": 3, \"ratio\": 0.5, \"ok\": true, \"none\": null, \"tags\": "
                   "[\"a\", \"b\"], \"deep\": {\"x\": [1, {\"y\": \"z\"}]}}"},
  };
  expect_cases(kCases);
}

TEST(CelJson, KeepsIntegersExactAndTellsKeysByEveryByte) {
  const World world(R"({"id": 9007199254740993, "": 1, "K": 2, "Кирилл": "é", "e": "e\u0301", "nul": "a\u0000b"})");
  EXPECT_EQ(value_of(world, "mcp.args.id"), "9007199254740993");
  EXPECT_EQ(value_of(world, "mcp.args.id == 9007199254740992"), "false");
  EXPECT_EQ(value_of(world, "mcp.args['']"), "1");
  EXPECT_EQ(value_of(world, "has(mcp.args.k)"), "false");
  EXPECT_EQ(value_of(world, "size(mcp.args['Кирилл'])"), "1");
  EXPECT_EQ(value_of(world, "size(mcp.args.e)"), "2");
  EXPECT_EQ(value_of(world, "mcp.args.e == 'é'"), "false");
  EXPECT_EQ(value_of(world, "mcp.args.nul.contains('b') && size(mcp.args.nul) == 3"), "true");
}

TEST(CelJson, ThatIsMissingIsTheEmptyObject) {
  World world;
  world.facts.values[4] = json::Value();
  EXPECT_EQ(value_of(world, "mcp.args"), "{}");
  EXPECT_EQ(value_of(world, "mcp.args == {}"), "true");
  EXPECT_EQ(value_of(world, "has(mcp.args.path)"), "false");
  EXPECT_EQ(value_of(world, "mcp.args.path"), "error: no such key: mcp.args.path");
}

// cel-spec's cases that run unchecked, with the same semantics through dyn().
TEST(CelDynamic, FailsAtEvaluationWhereTheCheckerCannotKnow) {
  static constexpr Case kCases[] = {
      {"dyn(1.0) == 1", "true"},
      {"dyn([1]) == [1.0]", "true"},
      {"dyn(['one']) == [2, 3]", "false"},
      {"dyn(2u) != 2", "false"},
      {"dyn([0]) < dyn([1])", "error"},
      {"dyn(null) < dyn(null)", "error"},
      {"dyn('foo') < 1024", "error"},
      {"true ? dyn('cows') : 17", "\"cows\""},
      {"dyn('cows') ? false : true", "error"},
      {"false && dyn(32)", "false"},
      {"dyn('horses') && false", "false"},
      {"dyn('less filling') && dyn('tastes great')", "error"},
      {"true || dyn(32)", "true"},
      {"dyn('horses') || true", "true"},
      {"!dyn(0)", "error"},
      {"-dyn(42u)", "error"},
      {"-dyn(false)", "error"},
      {"dyn(47.5) % 5", "error"},
      {"dyn(1) + 1u", "error"},
      {"dyn('a') + 1", "error"},
      {"{dyn(1.5): 2}[dyn(1.5)]", kRefused},
      {"{dyn(null): 2}", kRefused},
      {"{mcp.tool: 1, 'read_file': 2}", "error: repeated key: {mcp.tool: 1, 'read_file': 2}"},
      {"[1, 2][dyn(18446744073709551615u)]", "error"},
      {"[1, 2][dyn(1e300)]", "error"},
      {"[mcp.tool, 'x'] + ['y'] == ['read_file', 'x', 'y']", "true"},
      {"{'a': mcp.tool}.a", "\"read_file\""},
  };
  expect_cases(kCases);
}

TEST(CelChecker, RefusesWhatCanNeverBeMeant) {
  static constexpr Case kCases[] = {
      {"mcp.tol == 'x'", "<refused>: 0 unknown name \"mcp.tol\" (did you mean \"mcp.tool\"?)"},
      {"true && mcp.toll.x", "<refused>: 8 unknown name \"mcp.toll\" (did you mean \"mcp.tool\"?)"},
      {"tool == 'x'", "<refused>: 0 unknown name \"tool\" (did you mean \"mcp.tool\"?)"},
      {"mcp == null", "<refused>: 0 \"mcp\" is no value by itself; it has mcp.method, mcp.tool, mcp.resource, mcp.prompt, mcp.args, mcp.direction"},
      {"mcp.tool == 1", "<refused>: 0 \"==\" compares string with int, which are never equal"},
      {"mcp.tool in 'abc'", "<refused>: 12 \"in\" wants a list or a map after it, not a string"},
      {"mcp.tool in [1, 2]", "<refused>: 0 \"in\" looks for a string in a list(int), which never holds one"},
      {"mcp.tool && true", "<refused>: 0 \"&&\" wants true or false here, not a string"},
      {"mcp.tool.startswith('a')", "<refused>: 9 unknown function \"startswith\" (did you mean \"startsWith\"?)"},
      {"mcp.tool.startsWith(1)", "<refused>: 20 startsWith() wants a string here, not a int"},
      {"startsWith(mcp.tool, 'a')", "<refused>: 0 startsWith() is called on a string and takes one string: text.startsWith(\"a\")"},
      {"mcp.tool.matches('(')", "<refused>: 17 the pattern is no RE2 pattern: missing ): ("},
      {"mcp.tool.matches(mcp.prompt)", "<refused>: 17 the pattern of matches() is written out as a string, so that it is checked at load"},
      {"has(mcp.tool)", "<refused>: 0 has() asks for a key of a map; mcp.tool is always there, compare its value"},
      {"has(mcp.args)", "<refused>: 0 has() asks for a key of a map; mcp.args is always there, compare its value"},
      {"has('a')", "<refused>: 0 has() takes a field selection, such as has(mcp.args.path)"},
      {"has(mcp.args.a", "<refused>: 14 \")\" was expected here, after the arguments"},
      {"user.groups.map(g, g)", kRefused},
      {"user.groups.exists(g)", "<refused>: 12 exists() takes a variable and a condition: list.exists(x, x == \"a\")"},
      {"user.groups.exists(a.b, true)", "<refused>: 19 exists() takes a variable and a condition: list.exists(x, x == \"a\")"},
      {"exists(user.groups, g, true)", "<refused>"},
      {"user.groups['a']", "<refused>: 12 a list is indexed by int, not by string"},
      {"target.labels[1]", "<refused>: 14 the keys of this map are of type string, not int"},
      {"mcp.tool = 'x'", "<refused>: 9 \"=\" is no operator; compare with \"==\""},
      {"mcp.tool & 'x'", "<refused>: 9 \"&\" is no operator; write \"&&\""},
      {"mcp.tool == 'x", "<refused>: 12 this string has no end"},
      {"mcp.tool == \"a\\sb\"", "<refused>: 14 no escape sequence of CEL; write \\\\ for a backslash, or a raw string r\"…\""},
      {"'\\ud83d\\ude03'", "<refused>: 1 no Unicode code point"},
      {"b'x' == b'x'", "<refused>: 0 byte strings are not part of this subset of CEL"},
      {"9223372036854775808", "<refused>: 0 this number is out of the range of int"},
      {"18446744073709551616u", "<refused>"},
      {"1e999", "<refused>: 0 this number is out of the range of double"},
      {"for == 1", "<refused>: 0 \"for\" is a reserved word"},
      {"mcp.in", "<refused>: 4 a field or function name was expected after \".\"; write [\"…\"] for any other key"},
      {"1 +", "<refused>: 3 the expression ends where a value was expected"},
      {"", "<refused>: 0 the expression ends where a value was expected"},
      {"1 2", "<refused>: 2 an operator or the end of the expression was expected here"},
      {"'a'.b", "<refused>: 4 a string has no field \"b\""},
  };
  const World world;
  for (const auto& [expression, expected] : kCases) {
    EXPECT_TRUE(value_of(world, expression).starts_with(expected)) << expression << "\n  is " << value_of(world, expression);
  }
}

TEST(CelChecker, ReportsEveryProblemOfAnExpression) {
  const auto program = Program::compile("mcp.tol == 1 || mcp.tool == 2 || mcp.tool.foo()", all_schemas());
  ASSERT_FALSE(program);
  ASSERT_EQ(program.error().size(), 3u);
  EXPECT_EQ(program.error()[0].offset, 0u);
  EXPECT_EQ(program.error()[1].offset, 16u);
  EXPECT_EQ(program.error()[2].offset, 42u);
}

TEST(CelChecker, WantsACondition) {
  EXPECT_FALSE(Program::compile("mcp.tool", all_schemas()));
  EXPECT_FALSE(Program::compile("1", all_schemas()));
  EXPECT_TRUE(Program::compile("mcp.args.ok", all_schemas()));
}

TEST(CelChecker, ReadsFactsOfOneProtocolOnly) {
  const FactSchema sql{"sql", {{"sql.verb", FactType::String, ""}, {"sql.tables", FactType::StringList, ""}}};
  const std::vector<const FactSchema*> schemas{&mcp_schema(), &sql};
  const auto one = Program::compile("sql.verb == 'DELETE' && 'users' in sql.tables && user.subject != ''", schemas);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->schema(), &sql);
  EXPECT_EQ(Program::compile("user.subject == 'alice'", schemas)->schema(), nullptr);
  const auto both = Program::compile("sql.verb == mcp.tool", schemas);
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error()[0].message, "a rule reads facts of one protocol only, here of both sql and mcp; write two rules");
}

TEST(CelUnknown, IsAbsorbedOnlyByWhatDecidesWithoutIt) {
  World world;
  world.facts.values[4] = Unknown{};
  static constexpr Case kCases[] = {
      {"mcp.args", "unknown"},
      {"mcp.args.path", "unknown"},
      {"mcp.args.path == 'x'", "unknown"},
      {"mcp.args['path'].startsWith('/etc')", "unknown"},
      {"has(mcp.args.path)", "unknown"},
      {"size(mcp.args) > 1", "unknown"},
      {"'x' in mcp.args", "unknown"},
      {"mcp.tool in [mcp.args.x, 'read_file']", "unknown"},
      {"mcp.args.list.exists(x, x == 1)", "unknown"},
      {"user.groups.exists(g, g == mcp.args.x)", "unknown"},
      {"user.groups.exists(g, g == 'oncall' || mcp.args.x == 1)", "true"},
      {"user.groups.all(g, g != 'oncall' && mcp.args.x == 1)", "false"},
      {"user.groups.exists_one(g, g == mcp.args.x)", "unknown"},
      {"!(mcp.args.x == 1)", "unknown"},
      {"mcp.args.x == 1 ? true : false", "unknown"},
      {"mcp.tool == 'other' && mcp.args.x == 1", "false"},
      {"mcp.args.x == 1 && mcp.tool == 'other'", "false"},
      {"mcp.tool == 'read_file' || mcp.args.x == 1", "true"},
      {"mcp.args.x == 1 || mcp.tool == 'read_file'", "true"},
      {"mcp.tool == 'read_file' && mcp.args.x == 1", "unknown"},
      // A failure that an unknown may still absorb is unknown; one that nothing can mend is a failure.
      {"target.labels.none == 'x' && mcp.args.x == 1", "unknown"},
      {"target.labels.none == mcp.args.x", "error: no such key: target.labels.none"},
      {"mcp.args.x == target.labels.none", "error: no such key: target.labels.none"},
  };
  for (const auto& [expression, expected] : kCases) EXPECT_EQ(value_of(world, expression), expected) << expression;
}

TEST(CelMacros, NestAndSeeOuterVariables) {
  static constexpr Case kCases[] = {
      {"[1, 2].exists(x, [2, 3].exists(y, x == y))", "true"},
      {"[1, 2].all(x, [2, 3].exists(y, x < y))", "true"},
      {"[1, 2].exists(x, [5].exists(x, x == 5) && x == 1)", "true"},
      {"[[1], [2]].exists(x, x.exists(x, x == 2))", "true"},
      {"[1, 2].existsOne(x, x == 1)", "true"},
      {"[1].all(a, [1].all(b, [1].all(c, [1].all(d, a + b + c + d == 4))))", "true"},
      {"[1].all(a, [1].all(b, [1].all(c, [1].all(d, [1].all(e, true)))))", kRefused},
      {"[dyn(1), 'a'].exists_one(x, x == 'a')", "true"},
      {"[1, 2].exists(x, dyn(x))", "error"},
      {"[1, 2].all(x, x / 0 == 1 || true)", "true"},
  };
  expect_cases(kCases);
}

TEST(CelLimits, RefuseDeepAndLongExpressions) {
  const auto compiles = [](const std::string& text) { return Program::compile(text, all_schemas(), true).has_value(); };
  EXPECT_TRUE(compiles(repeated("(", 60) + "1" + repeated(")", 60)));
  EXPECT_FALSE(compiles(repeated("(", 100'000) + "1"));
  EXPECT_FALSE(compiles(repeated("(", 70) + "1" + repeated(")", 70)));
  EXPECT_FALSE(compiles(repeated("[", 8'000)));
  EXPECT_FALSE(compiles(repeated("!", 8'000) + "true"));
  EXPECT_FALSE(compiles(repeated("-", 8'000) + "1"));
  EXPECT_FALSE(compiles("mcp.args" + repeated(".a", 70)));
  EXPECT_FALSE(compiles("mcp.args" + repeated("[0]", 70)));
  EXPECT_FALSE(compiles(repeated("1", 70, " + ")));
  EXPECT_FALSE(compiles(repeated("true ? 1 : ", 70) + "1"));
  EXPECT_TRUE(compiles(repeated("mcp.tool == 'x'", 300, " || "))) << "chains of || and && do not nest";
  EXPECT_FALSE(compiles(repeated("mcp.tool == 'x'", 800, " || ")));
  EXPECT_FALSE(compiles("'" + std::string(kMaxSource, 'a') + "'"));
}

TEST(CelLimits, RefusePatternsThatCostTooMuch) {
  EXPECT_FALSE(Program::compile("mcp.tool.matches('" + std::string(kMaxPattern + 1, 'a') + "')", all_schemas()));
  EXPECT_FALSE(Program::compile("mcp.tool.matches('((a{1000}){1000}){1000}')", all_schemas()));
  EXPECT_FALSE(Program::compile("mcp.tool.matches('(?=a)')", all_schemas())) << "no look-around in RE2";
}

TEST(CelBudget, EndsInAnErrorThatNothingAbsorbs) {
  std::string list = "[0";
  for (int i = 1; i < 20'000; ++i) list += ",0";
  const World world("{\"list\":" + list + "]}");
  constexpr std::string_view kTooMuch = "error: too expensive to evaluate for values of this size";
  EXPECT_EQ(value_of(world, "mcp.args.list.exists(x, x == 1)"), "false");
  EXPECT_EQ(value_of(world, "mcp.args.list.exists(x, mcp.args.list.exists(y, x + y == 1))"), kTooMuch);
  EXPECT_EQ(value_of(world, "mcp.args.list.exists(x, mcp.args.list.exists(y, x + y == 1)) || true"), kTooMuch);
  EXPECT_EQ(value_of(world, "mcp.args.list.all(x, mcp.args.list == mcp.args.list)"), kTooMuch);
  EXPECT_EQ(value_of(world, "mcp.args.list.all(x, size(mcp.args.list + mcp.args.list) > 0)"), kTooMuch);
}

TEST(CelBudget, CountsTheBytesOfLongText) {
  const World world("{\"text\":\"" + std::string(4'000'000, 'a') + "\"}");
  EXPECT_EQ(value_of(world, "mcp.args.text.contains('b')"), "false");
  EXPECT_EQ(value_of(world, "mcp.args.text.matches('b')"), "error: too expensive to evaluate for values of this size");
  EXPECT_EQ(value_of(world, "['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].exists(x, mcp.args.text.contains(x + 'b'))"),
            "error: too expensive to evaluate for values of this size");
}

TEST(CelProgram, MayBeMovedAndIsSharedByThreads) {
  auto made = Program::compile("mcp.tool in ['read_file', 'x'] && mcp.args.path.matches('^/etc') && 'a' + 'b' == 'ab'", all_schemas());
  ASSERT_TRUE(made);
  const Program program = std::move(*made);
  const World world;
  std::vector<std::thread> threads;
  std::atomic<int> yes = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) yes += program.evaluate(world.inputs()).verdict == Verdict::True;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(yes, 4000);
}

TEST(CelProgram, FailsOnFactsOfAnotherProtocol) {
  const auto program = Program::compile("mcp.tool == 'x'", all_schemas());
  ASSERT_TRUE(program);
  World world;
  world.facts = {};
  const auto evaluation = program->evaluate(world.inputs());
  EXPECT_EQ(evaluation.verdict, Verdict::Error);
  EXPECT_EQ(program->describe(evaluation.failure), "the command has no such fact: mcp.tool");
}

}  // namespace
}  // namespace sallyport::enforce::cel
