#include "ipc/anyconnect.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::ipc {
namespace {

using testing::HasSubstr;

AnyConnectSession some_session() {
  return {.addresses = {*base::Prefix::parse("10.99.0.7/24"), *base::Prefix::parse("fd99::7/64")},
          .dns_servers = {*base::IpAddress::parse("10.99.0.1")},
          .dns_search = {"lab.example"},
          .mtu = 1400,
          .includes = {*base::Prefix::parse("10.0.0.0/8")},
          .excludes = {*base::Prefix::parse("10.1.0.0/16")},
          .cookie = "c00k1e",
          .pin = "pin-sha256:abc"};
}

std::string refusal_of(const AnyConnectMessage& message) {
  const auto parsed = parse_session(message);
  return parsed ? "accepted" : parsed.error().message;
}

TEST(AnyConnect, AMessageComesBackAsItWas) {
  AnyConnectMessage message{.type = AnyConnectType::Question, .fields = {}};
  message.add("label", "Password: a=b\nc").add("x", "").add("x", "2");
  const auto bytes = write_anyconnect(message);
  ASSERT_TRUE(bytes);
  const auto back = parse_anyconnect(*bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->type, AnyConnectType::Question);
  EXPECT_EQ(back->fields, message.fields);
  EXPECT_EQ(back->get("label"), "Password: a=b\nc");
  EXPECT_THAT(back->all("x"), testing::ElementsAre("", "2"));
  EXPECT_EQ(back->get("none"), "");
}

TEST(AnyConnect, EveryCutIsRefusedOrShorter) {
  const auto whole = write_anyconnect(write_session(some_session()));
  ASSERT_TRUE(whole);
  for (std::size_t size = 0; size < whole->size(); ++size) {
    const auto cut = parse_anyconnect(base::Bytes(*whole).first(size));
    const bool at_end_of_field = size > 0 && (size == 1 || (*whole)[size - 1] == 0);
    EXPECT_EQ(static_cast<bool>(cut), at_end_of_field) << size;
  }
}

TEST(AnyConnect, AMessageThatCannotBeWrittenIsRefused) {
  AnyConnectMessage message{.type = AnyConnectType::Answer, .fields = {}};
  message.add("text", std::string("a\0b", 3));
  EXPECT_FALSE(write_anyconnect(message));
  message.fields[0].second = std::string(kMaxAnyConnectMessage, 'a');
  EXPECT_FALSE(write_anyconnect(message));
}

TEST(AnyConnect, ASessionComesBackAsItWas) {
  const AnyConnectSession session = some_session();
  const auto back = parse_session(write_session(session));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->addresses, session.addresses);
  EXPECT_EQ(back->dns_servers, session.dns_servers);
  EXPECT_EQ(back->dns_search, session.dns_search);
  EXPECT_EQ(back->mtu, 1400U);
  EXPECT_EQ(back->includes, session.includes);
  EXPECT_EQ(back->excludes, session.excludes);
  EXPECT_EQ(back->cookie, session.cookie);
  EXPECT_EQ(back->pin, session.pin);
}

TEST(AnyConnect, WhatAServerMayNotSayIsRefused) {
  AnyConnectSession session = some_session();
  session.addresses.clear();
  EXPECT_THAT(refusal_of(write_session(session)), HasSubstr("no address"));
  for (const char* address : {"0.0.0.0/8", "127.0.0.1/8", "224.0.0.1/24", "::1/128"}) {
    session = some_session();
    session.addresses = {*base::Prefix::parse(address)};
    EXPECT_THAT(refusal_of(write_session(session)), HasSubstr(address));
  }
  session = some_session();
  session.dns_search = {"lab\nnameserver 192.0.2.66"};
  EXPECT_THAT(refusal_of(write_session(session)), HasSubstr("search domain"));
  session = some_session();
  session.mtu = 100;
  EXPECT_THAT(refusal_of(write_session(session)), HasSubstr("MTU"));
  session = some_session();
  session.includes.assign(kMaxSplitRoutes + 1, *base::Prefix::parse("10.0.0.0/8"));
  EXPECT_THAT(refusal_of(write_session(session)), HasSubstr("too many"));
  AnyConnectMessage message = write_session(some_session());
  message.add("dns", "ns.example");
  EXPECT_THAT(refusal_of(message), HasSubstr("ns.example"));
}

TEST(AnyConnect, AFailureComesBackAsItWas) {
  const base::Error error =
      base::make_error(base::ErrorKind::NotPermitted, "refused", "try another");
  const base::Error back = parse_failure(write_failure(error));
  EXPECT_EQ(back.kind, error.kind);
  EXPECT_EQ(back.message, error.message);
  EXPECT_EQ(back.hint, error.hint);
}

}  // namespace
}  // namespace warren::ipc
