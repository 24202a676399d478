#include "gateway/daemon_log.hpp"

#include <cstdlib>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/bytes.hpp"

namespace warren::gateway {

using base::LogLevel;

namespace {

/// Priorities of syslog(3), which the journal reads from the start of a line.
char priority(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return '7';
    case LogLevel::Info:
      return '6';
    case LogLevel::Warning:
      return '4';
    case LogLevel::Error:
      return '3';
  }
  return '6';
}

bool is_control(char c) {
  constexpr unsigned char kFirstPrintable = 0x20;
  constexpr unsigned char kDelete = 0x7f;
  const auto byte = static_cast<unsigned char>(c);
  return byte < kFirstPrintable || byte == kDelete;
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (!is_control(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<std::uint8_t>(c);
    out += c == '\n' ? "\\n" : "\\x" + base::to_hex({&byte, 1});
  }
}

}  // namespace

struct DaemonLog::Sink {
  std::shared_ptr<spdlog::logger> logger;
};

DaemonLog::Stream DaemonLog::standard_error() {
  const char* journal = std::getenv("JOURNAL_STREAM");
  return journal != nullptr && *journal != '\0' ? Stream::Journal : Stream::Plain;
}

DaemonLog::DaemonLog(Stream stream) : stream_(stream), sink_(std::make_unique<Sink>()) {
  (void)set({});  // standard error always opens
}
DaemonLog::~DaemonLog() = default;

base::Status DaemonLog::set(const LogSettings& settings) {
  if (sink_->logger && settings.file == settings_.file) {
    settings_ = settings;
    return {};
  }
  try {
    std::shared_ptr<spdlog::sinks::sink> sink;
    if (settings.file.empty())
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    else
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(settings.file);
    auto logger = std::make_shared<spdlog::logger>("warren", std::move(sink));
    const bool journal = settings.file.empty() && stream_ == Stream::Journal;
    logger->set_pattern(journal ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %v",
                        spdlog::pattern_time_type::utc);
    logger->set_level(spdlog::level::trace);
    logger->flush_on(spdlog::level::trace);
    logger->set_error_handler([](const std::string&) {});  // a full disk must not stop the daemon
    sink_->logger = std::move(logger);
  } catch (const spdlog::spdlog_ex& error) {
    return base::make_error(base::ErrorKind::Failed,
                            "open the log file " + settings.file + ": " + error.what());
  }
  settings_ = settings;
  return {};
}

void DaemonLog::write(LogLevel level, std::string_view module, std::string_view message) {
  const auto own = settings_.modules.find(std::string(module));
  if (level < (own == settings_.modules.end() ? settings_.level : own->second)) return;
  const Stream stream = settings_.file.empty() ? stream_ : Stream::Plain;
  sink_->logger->log(spdlog::level::info,
                     spdlog::string_view_t(line(stream, level, module, message)));
}

std::string DaemonLog::line(Stream stream, LogLevel level, std::string_view module,
                            std::string_view message) {
  std::string out;
  if (stream == Stream::Journal)
    out = {'<', priority(level), '>'};
  else
    out = std::string(base::to_string(level)) + " ";
  append_escaped(out, module);
  out += ": ";
  append_escaped(out, message);
  return out;
}

}  // namespace warren::gateway
