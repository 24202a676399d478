#include "api/schema.hpp"

#include <gtest/gtest.h>

namespace warren::api {
namespace {

using Kind = FieldType::Kind;

TEST(Schema, NamesAndFieldsAreThoseOfTheTypes) {
  DocumentSchemas all;
  EXPECT_EQ(describe<PolicyView>(all), "PolicyView");
  ASSERT_TRUE(all.contains("PolicyView.Rule"));
  const auto& fields = all.at("PolicyView");
  const auto field = [&](const std::string& key) {
    return *std::ranges::find(fields, key, &FieldSchema::key);
  };
  EXPECT_TRUE(field("network").required);
  EXPECT_EQ(field("network").type.kind, Kind::Text);
  EXPECT_EQ(field("present").type.kind, Kind::Boolean);
  ASSERT_EQ(field("rules").type.kind, Kind::List);
  EXPECT_EQ(field("rules").type.entries[0].document, "PolicyView.Rule");
  EXPECT_EQ(field("lines").type.entries[0].kind, Kind::Text);
}

TEST(Schema, WhatMayBeLeftOutIsNotRequired) {
  DocumentSchemas all;
  describe<NetworkCreate>(all);
  for (const FieldSchema& field : all.at("NetworkCreate")) {
    EXPECT_EQ(field.required, field.key == "name") << field.key;
    if (field.key == "port") {
      EXPECT_EQ(field.type.kind, Kind::Integer);
      EXPECT_EQ(field.type.least, 0);
      EXPECT_EQ(field.type.most, 65535U);
    }
  }
  EXPECT_EQ(all.at("RoleAdd").front().key, "name");
}

}  // namespace
}  // namespace warren::api
