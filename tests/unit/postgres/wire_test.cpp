// The wire codec: golden bytes, cuts at every byte, and what no peer may send.
#include "protocol/postgres/wire.h"

#include <gtest/gtest.h>

#include "protocol/postgres/login.h"
#include "protocol/postgres/scram.h"
#include "protocol/postgres/substitute.h"

namespace sallyport::protocol::postgres {
namespace {

using namespace std::string_literals;

TEST(Wire, AHeadIsReadOnceItIsThereAndNotBefore) {
  const auto query = "Q\0\0\0\rselect 1\0"s;
  for (std::size_t n = 0; n < kHead; ++n) {
    const auto head = front_head(query.substr(0, n));
    ASSERT_TRUE(head);
    EXPECT_FALSE(head->has_value()) << n;
  }
  for (std::size_t n = kHead; n <= query.size(); ++n) {
    const auto head = front_head(query.substr(0, n));
    ASSERT_TRUE(head && *head);
    EXPECT_EQ((*head)->type, 'Q');
    EXPECT_EQ((*head)->length, 9u);
  }
}

TEST(Wire, TypesAndLengthsThatNobodySendsAreRefusedAtTheirFirstByte) {
  for (const auto& bytes : {"\0"s, "z"s, "\x16\x03"s, "Q\0\0\0\3"s, "Q\xff\xff\xff\xff"s, "Q\x40\0\0\0"s, "S\0\0\xff\xff"s, "D\0\1\0\0"s}) EXPECT_FALSE(front_head(bytes)) << hex(as_bytes(bytes));
  for (const auto& bytes : {"Q"s, "\0"s, "Z\0\0\0\0"s, "D\xff\xff\xff\xff"s}) EXPECT_FALSE(back_head(bytes)) << hex(as_bytes(bytes));
  EXPECT_TRUE(front_head("d\x3f\xff\xff\xff"s)) << "a gigabyte of COPY is legal";
}

TEST(Wire, AStartupPacketCutAnywhereIsRefused) {
  const auto packet = write_startup({{"user", "alice@shop"}, {"database", "shop"}});
  const auto body = packet.substr(4);
  const auto whole = read_startup(body);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->get("user"), "alice@shop");
  EXPECT_EQ(whole->version, kVersion30);
  for (std::size_t n = 0; n < body.size(); ++n) EXPECT_FALSE(read_startup(body.substr(0, n))) << n;
  EXPECT_FALSE(read_startup(body + "x"));
  EXPECT_FALSE(read_startup("\0\3\0\0user\0a\0user\0b\0\0"s)) << "twice the same parameter";
  EXPECT_FALSE(read_startup("\0\3\0\0user\0\xff\0\0"s));
}

TEST(Wire, ParseAndBindAreReadWholeOrNotAtAll) {
  const auto parse = "s1\0select $1\0\0\1\0\0\0\x17"s;
  const auto read = read_parse(parse);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, "s1");
  EXPECT_EQ(read->text, "select $1");
  EXPECT_EQ(read->types, std::vector<std::uint32_t>{23});
  for (std::size_t n = 0; n < parse.size(); ++n) EXPECT_FALSE(read_parse(parse.substr(0, n))) << n;
  const auto bind = "p\0s1\0\0\2\0\0\0\1\0\2\0\0\0\2ab\xff\xff\xff\xff\0\1\0\1"s;
  const auto bound = read_bind(bind);
  ASSERT_TRUE(bound) << bound.error().what;
  EXPECT_EQ(bound->portal, "p");
  ASSERT_EQ(bound->values.size(), 2u);
  EXPECT_EQ(bound->values[0], "ab");
  EXPECT_FALSE(bound->values[1].has_value());
  EXPECT_EQ(Bind::format(bound->result_formats, 7), 1);
  for (std::size_t n = 0; n < bind.size(); ++n) EXPECT_FALSE(read_bind(bind.substr(0, n))) << n;
  EXPECT_FALSE(read_bind("\0\0\0\1\0\2\0\0\0\0"s)) << "a format that does not exist";
  EXPECT_FALSE(read_bind("\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"s)) << "a negative length";
  EXPECT_FALSE(read_bind("\0\0\0\2\0\0\0\0\0\1\0\0\0\0\0\0"s)) << "two formats for one value";
}

TEST(Wire, ErrorsKeepTheirFieldsAndOursHaveThem) {
  std::string out;
  put_notice(out, 'E', {"ERROR", "42501", "no", "rule x", "ask"});
  EXPECT_EQ(out, "E\0\0\0+SERROR\0VERROR\0C42501\0Mno\0Drule x\0Hask\0\0"s);
  const auto fields = read_notice(std::string_view(out).substr(5));
  ASSERT_TRUE(fields);
  EXPECT_EQ(field_of(*fields, 'C'), "42501");
  EXPECT_EQ(field_of(*fields, 'x'), "");
  for (std::size_t n = 5; n < out.size(); ++n) EXPECT_FALSE(read_notice(std::string_view(out).substr(5, n - 5))) << n;
}

TEST(Wire, ARowDescriptionIsWrittenAsItIsRead) {
  std::string out;
  put_row_description(out, {{"id", 16384, 1, 23, 0}, {"ssn", 16384, 3, 25, 0}}, {1});
  const auto fields = read_row_description(std::string_view(out).substr(kHead));
  ASSERT_TRUE(fields);
  ASSERT_EQ(fields->size(), 2u);
  EXPECT_EQ((*fields)[1].name, "ssn");
  EXPECT_EQ((*fields)[1].table, 16384u);
  EXPECT_EQ((*fields)[1].number, 3);
  EXPECT_EQ((*fields)[0].format, 1);
  for (std::size_t n = kHead; n < out.size(); ++n) EXPECT_FALSE(read_row_description(std::string_view(out).substr(kHead, n - kHead))) << n;
}

TEST(Wire, TheRowsOfATagAreItsLastNumber) {
  EXPECT_EQ(rows_of_tag("SELECT 5"), 5u);
  EXPECT_EQ(rows_of_tag("INSERT 0 7"), 7u);
  EXPECT_EQ(rows_of_tag("CREATE TABLE"), 0u);
  EXPECT_EQ(rows_of_tag(""), 0u);
}

TEST(Wire, WhatStandsForARefusedMessageIsAMessageTheServerMustRefuse) {
  EXPECT_EQ(refused_query("req_1"), "Q\0\0\0\x1d\"sallyport denied req_1\"\0"s);
  for (const bool named : {false, true}) {
    const auto bytes = refused_parse("req_1", named);
    const auto parse = read_parse(std::string_view(bytes).substr(kHead));
    ASSERT_TRUE(parse);
    EXPECT_EQ(parse->name, named ? "sallyport denied req_1" : "");
  }
  EXPECT_EQ(missing_unnamed(), "C\0\0\0\6S\0B\0\0\0\x0c\0\0\0\0\0\0\0\0"s);
  const auto bytes = refused_bind("req_1");
  const auto bind = read_bind(std::string_view(bytes).substr(kHead));
  ASSERT_TRUE(bind);
  EXPECT_EQ(bind->statement, "sallyport denied req_1");
}

TEST(Login, TheLastAtSignPartsUserAndTarget) {
  EXPECT_EQ(names_of("alice@shop", "alice@shop").target, "shop");
  EXPECT_EQ(names_of("alice@shop", "alice@shop").database, "");
  EXPECT_EQ(names_of("alice@corp.example@shop", "other").user, "alice@corp.example");
  EXPECT_EQ(names_of("alice@shop", "other").database, "other");
  EXPECT_EQ(names_of("alice", "shop").target, "shop");
  EXPECT_EQ(names_of("alice", "").target, "");
}

TEST(Login, OptionsAreSettingsOrRefused) {
  const auto read = read_options("-c work_mem=1MB --search-path=a\\ b -ctimezone=UTC");
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 3u);
  EXPECT_EQ((*read)[1], std::make_pair("search_path"s, "a b"s));
  for (const auto* text : {"-f x", "-c", "-c work_mem", "--=x", "x"}) EXPECT_FALSE(read_options(text)) << text;
}

TEST(Scram, AProofIsRightOnceAndEveryChangeOfItIsNot) {
  const std::string salt = "0123456789abcdef", binding(32, 'h');
  const std::vector<ScramVerifier> verifiers = {identity::scram_verifier("other", salt, 4096), identity::scram_verifier("token", salt, 4096)};
  for (const bool plus : {false, true}) {
    ScramServer server(salt, 4096, plus ? binding : "");
    ScramClient client("token", plus, binding, false);
    const auto challenge = server.first(plus ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256", client.first());
    ASSERT_TRUE(challenge) << challenge.error().what;
    const auto last = client.final(*challenge);
    ASSERT_TRUE(last);
    for (std::size_t i = 0; i < last->size(); ++i) {
      auto changed = *last;
      changed[i] = changed[i] == 'A' ? 'B' : 'A';
      EXPECT_FALSE(server.final(changed, verifiers)) << i;
    }
    const auto found = server.final(*last, verifiers);
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(*found, 1u);
    EXPECT_TRUE(client.verify(server.server_final()));
    EXPECT_FALSE(client.verify("v=AAAA"));
    EXPECT_FALSE(client.verify("e=other-error"));
  }
}

TEST(Scram, AStrippedBindingAndATargetThatLiesAreRefused) {
  ScramServer server("0123456789abcdef", 4096, std::string(32, 'h'));
  EXPECT_FALSE(server.first("SCRAM-SHA-256", "y,,n=,r=abc")) << "somebody took the offer of PLUS away";
  EXPECT_FALSE(server.first("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc"));
  EXPECT_FALSE(server.first("SCRAM-SHA-256", "n,a=admin,n=,r=abc"));
  ScramClient client("token", false, "", false);
  const auto nonce = client.first().substr(8);
  for (const auto& lie : {"r=other,s=c2FsdA==,i=4096"s, "r=" + nonce + ",s=c2FsdA==,i=4096", "r=" + nonce + "x,s=!,i=4096", "r=" + nonce + "x,s=c2FsdA==,i=0", "r=" + nonce + "x,s=c2FsdA==,i=2000000000", "m=x,r=" + nonce})
    EXPECT_FALSE(client.final(lie)) << lie;
}

}  // namespace
}  // namespace sallyport::protocol::postgres
