#include "client/answer.hpp"

#include <gtest/gtest.h>

#include "api/json.hpp"
#include "client/limits.hpp"

namespace warren::client {
namespace {

base::Error told(std::string message, std::string hint) {
  const auto error =
      base::make_error(base::ErrorKind::Conflict, std::move(message), std::move(hint));
  return answer_error({.status = 409, .body = api::encode_error(error)}, "the gateway");
}

TEST(AnswerError, SaysWhatTheGatewaySaid) {
  const base::Error error = told("the name is in use", "choose another\n\tone: José");
  EXPECT_EQ(error.kind, base::ErrorKind::Conflict);
  EXPECT_EQ(error.message, "the name is in use");
  EXPECT_EQ(error.hint, "choose another\n\tone: José");
}

TEST(AnswerError, NothingOfItIsForTheTerminal) {
  const base::Error error = told(
      "\x1b]0;owned\x07 \xc2\x9b"
      "2J\r\x7f",
      "\x1b[31mred");
  EXPECT_EQ(error.message, "?]0;owned? ??2J??");
  EXPECT_EQ(error.hint, "?[31mred");
  EXPECT_EQ(told(std::string(100'000, 'a'), "").message.size(), kMaxMessageBytes);
}

TEST(AnswerError, OneThatCannotBeReadIsToldByItsStatus) {
  const base::Error error = answer_error({.status = 500, .body = "<html>"}, "the gateway");
  EXPECT_EQ(error.message, "the gateway answered with status 500 and no explanation");
}

}  // namespace
}  // namespace warren::client
