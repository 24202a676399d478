// `warren ca`: the authorities of networks, what they signed, and what is revoked.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "model/conf_key.hpp"
#include "os/file.hpp"

namespace warren::app {

base::Result<std::string> read_pem(const std::string& path, const std::string& what) {
  constexpr std::size_t kMaxPem = 65'536;
  auto text = os::read_file(path == "-" ? "/dev/stdin" : path, kMaxPem);
  if (!text) return std::move(text).error().within("read the " + what);
  return text;
}

base::Status read_authority(const std::string& certificate, const std::string& key,
                            std::optional<std::string>& certificates_pem,
                            std::optional<std::string>& key_pem) {
  if (!certificate.empty()) {
    WARREN_TRY_ASSIGN(certificates_pem, read_pem(certificate, "authority's certificate"));
  }
  if (!key.empty()) {
    WARREN_TRY_ASSIGN(key_pem, read_pem(key, "authority's key"));
  }
  return {};
}

namespace {

std::string grouped(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out += (i == 0 ? "" : ":") + hex.substr(i, 2);
  }
  return out;
}

/// At the enrolment listener, for everybody who has the authority's certificate.
std::string list_path(const std::string& fingerprint) {
  return "/v1/authorities/" + fingerprint + "/crl.pem";
}

std::string described(const api::AuthorityView& authority) {
  std::string text = describe(
      {{"authority", fmt::format("{} ({}{})", authority.number,
                                 authority.current ? "current" : "retiring, still accepted",
                                 authority.brought ? ", brought" : "")},
       {"certificates", fmt::format("{} good", authority.good)},
       {"revoked", fmt::format("{} on list {}", authority.revoked, authority.list_number)},
       {"waits for", join_words(authority.awaits)}});
  for (const auto& link : authority.chain) {
    text += describe(
        {{"  subject", link.subject},
         {"  issuer", link.issuer},
         {"  valid", fmt::format("{} to {}", moment(link.not_before), moment(link.not_after))},
         {"  SHA-256", grouped(link.fingerprint)}});
  }
  if (!authority.chain.empty()) {
    text += describe({{"list", list_path(authority.chain.front().fingerprint)}});
  }
  return text;
}

base::Status show(const Invocation& invocation, const api::AuthorityList& list, bool pem) {
  if (invocation.json) {
    print_line(api::encode(list));
    return {};
  }
  bool first = true;
  for (const api::AuthorityView& authority : list.authorities) {
    if (pem) {
      fmt::print("{}", authority.certificates);
    } else {
      fmt::print("{}{}", first ? "" : "\n", described(authority));
    }
    first = false;
  }
  return {};
}

base::Status rotate(const Invocation& invocation, const std::string& network,
                    const api::AuthorityRotate& request) {
  WARREN_TRY_ASSIGN(const auto list, daemon_of(invocation).rotate_authority(network, request));
  if (!invocation.json) {
    fmt::print("network {} has another authority; members renew by themselves\n", network);
  }
  return show(invocation, list, false);
}

base::Status sign(const Invocation& invocation, const std::string& network, const std::string& file,
                  api::CertificateSign request) {
  WARREN_TRY_ASSIGN(request.certificate_request, read_pem(file, "certificate request"));
  WARREN_TRY_ASSIGN(const auto made, daemon_of(invocation)
                                         .sign_certificate(network, request)
                                         .within("certificate request " +
                                                 (file == "-" ? "on standard input" : file)));
  if (invocation.json) {
    print_line(api::encode(made));
    return {};
  }
  fmt::print("{}", made.certificate);
  fmt::print(stderr, "signed for {} until {}; revoke it with: warren ca revoke {} {}\n", made.name,
             moment(made.not_after), network, made.serial);
  return {};
}

base::Status list(const Invocation& invocation, const std::string& network) {
  WARREN_TRY_ASSIGN(const auto known, daemon_of(invocation).list_certificates(network));
  if (invocation.json) {
    print_line(api::encode(known));
    return {};
  }
  Table table({"NAME", "ROLE", "SERIAL", "AUTHORITY", "UNTIL", "REVOKED"});
  for (const api::CertificateView& one : known.certificates) {
    table.add({one.name, one.role, one.serial, std::to_string(one.authority), moment(one.not_after),
               one.revoked == 0 ? "" : moment(one.revoked)});
  }
  table.print();
  return {};
}

base::Status revoke(const Invocation& invocation, const std::string& network,
                    const std::string& serial) {
  WARREN_TRY_ASSIGN(const auto one, daemon_of(invocation).revoke_certificate(network, serial));
  if (invocation.json) {
    print_line(api::encode(one));
    return {};
  }
  fmt::print("the certificate of {} is revoked, and the list says so\n", one.name);
  return {};
}

int examine(const Invocation& invocation, const api::DoctorReport& report) {
  const bool fine = std::ranges::none_of(
      report.findings, [](const auto& finding) { return finding.state == "bad"; });
  if (invocation.json) {
    print_line(api::encode(report));
    return fine ? kDone : kFailed;
  }
  for (const auto& finding : report.findings) {
    const std::string where = finding.network.empty() ? "" : finding.network + ": ";
    fmt::print("{:<5} {}{} {}\n", finding.state, where, finding.what, finding.text);
    if (!finding.remedy.empty()) fmt::print("      hint: {}\n", finding.remedy);
  }
  return fine ? kDone : kFailed;
}

struct ListChoice {
  std::string network;
  bool pem = false;
  bool der = false;
  std::uint32_t authority = 0;
};

base::Status print_lists(const Invocation& invocation, const ListChoice& choice) {
  const std::optional<std::uint32_t> of =
      choice.authority != 0 ? std::optional(choice.authority) : std::nullopt;
  WARREN_TRY_ASSIGN(const std::string document,
                    daemon_of(invocation).revocation_document(choice.network, choice.der, of));
  std::cout.write(document.data(), static_cast<std::streamsize>(document.size())).flush();
  return {};
}

void add_show(CLI::App& ca, Invocation& invocation) {
  struct Given {
    std::string network;
    bool pem = false;
  };
  auto given = std::make_shared<Given>();
  CLI::App* command = ca.add_subcommand(
      "show",
      "Show who signs in a network: chain, fingerprints, validity, whom a roll-over awaits");
  command->add_option("NETWORK", given->network, "the network")->required();
  command->add_flag("--pem", given->pem, "the certificates alone: what a server trusts");
  command->footer("Example: warren ca show lab --pem > lab-ca.crt");
  command->callback([&invocation, given] {
    const auto found = daemon_of(invocation).show_authorities(given->network);
    finish(invocation, found ? show(invocation, *found, given->pem) : base::Status(found.error()));
  });
}

void add_rotate(CLI::App& ca, Invocation& invocation) {
  struct Given {
    std::string network, certificate, key;
    bool drop_old = false;
  };
  auto given = std::make_shared<Given>();
  CLI::App* command = ca.add_subcommand(
      "rotate", "Let another authority sign; the old one is accepted until all members renewed");
  command->add_option("NETWORK", given->network, "the network")->required();
  command->add_option("--ca-cert", given->certificate,
                      "bring the new one: a file with its certificate, then its chain (PEM)");
  command->add_option("--ca-key", given->key, "a file with its key (PEM); - is standard input");
  command->add_flag("--drop-old", given->drop_old,
                    "do not accept the old ones any more: somebody has a key that he should not");
  command->footer("Example: warren ca rotate lab");
  command->callback([&invocation, given] {
    api::AuthorityRotate request;
    if (given->drop_old) request.drop_old = true;
    const base::Status read =
        read_authority(given->certificate, given->key, request.ca_certificates, request.ca_key);
    finish(invocation, read ? rotate(invocation, given->network, request) : read);
    if (request.ca_key) model::wipe_text(*request.ca_key);
  });
}

void add_sign(CLI::App& ca, Invocation& invocation) {
  struct Given {
    std::string network, file, peer;
    api::CertificateSign request;
    bool server = false;
    std::uint32_t days = 0;
  };
  auto given = std::make_shared<Given>();
  CLI::App* command = ca.add_subcommand(
      "sign", "Sign a request that was made elsewhere (PKCS#10, P-256); prints the certificate");
  command->add_option("NETWORK", given->network, "the network")->required();
  command->add_option("CSR", given->file, "a file with the request (PEM); - is standard input")
      ->required();
  command->add_flag("--server", given->server, "for a TLS server, with the names that follow");
  command->add_option("--dns", given->request.dns_names, "a name of the server; may be repeated")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--ip", given->request.addresses, "an address of the server")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--peer", given->peer, "the member whose it is: revoked with it");
  command->add_option("--days", given->days, "how long it is good; 90, for servers 365")
      ->check(CLI::Range(1, 3650));
  command->footer("Example: warren ca sign lab www.csr --server --dns www.lab > www.crt");
  command->callback([&invocation, given] {
    if (given->server) given->request.server = true;
    if (!given->peer.empty()) given->request.peer = given->peer;
    if (given->days != 0) given->request.days = given->days;
    finish(invocation, sign(invocation, given->network, given->file, given->request));
  });
}

void add_crl(CLI::App& ca, Invocation& invocation) {
  auto choice = std::make_shared<ListChoice>();
  CLI::App* command =
      ca.add_subcommand("crl", "Print the lists of revoked certificates, for servers elsewhere");
  command->add_option("NETWORK", choice->network, "the network")->required();
  CLI::Option* der =
      command->add_flag("--der", choice->der, "as DER: the list of the current authority");
  command->add_flag("--pem", choice->pem, "as PEM: the lists of all authorities (the default)")
      ->excludes(der);
  command->add_option("--authority", choice->authority, "the list of one authority: its number")
      ->check(CLI::Range(1U, UINT32_MAX));
  command->footer(
      "The enrolment listener serves them to everybody, with an ETag, one for each authority, at "
      "the "
      "path that `warren ca show` tells, as crl.pem and crl.der\n"
      "Example: warren ca crl lab > lab.crl");
  command->callback(
      [&invocation, choice] { finish(invocation, print_lists(invocation, *choice)); });
}

}  // namespace

void add_ca_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* ca = app.add_subcommand(
      "ca", "Certificates: who signs in a network, what was signed, what is revoked");
  ca->require_subcommand(1);
  ca->footer("Example: warren ca show lab");
  add_show(*ca, invocation);
  add_rotate(*ca, invocation);
  add_sign(*ca, invocation);
  add_crl(*ca, invocation);

  CLI::App* list_command = ca->add_subcommand("list", "List what was signed in a network");
  list_command->alias("ls");
  auto listed = std::make_shared<std::string>();
  list_command->add_option("NETWORK", *listed, "the network")->required();
  list_command->footer("Example: warren ca list lab");
  list_command->callback([&invocation, listed] { finish(invocation, list(invocation, *listed)); });

  struct Doomed {
    std::string network, serial;
  };
  auto doomed = std::make_shared<Doomed>();
  CLI::App* revoke_command = ca->add_subcommand(
      "revoke", "Revoke one certificate; `warren revoke` puts out a member with all of its own");
  revoke_command->add_option("NETWORK", doomed->network, "the network")->required();
  revoke_command->add_option("SERIAL", doomed->serial, "as `warren ca list` shows it")->required();
  revoke_command->footer("Example: warren ca revoke lab 5f0c…");
  revoke_command->callback([&invocation, doomed] {
    finish(invocation, revoke(invocation, doomed->network, doomed->serial));
  });
}

void add_certificate_doctor(CLI::App& doctor, Invocation& invocation) {
  CLI::App* command = doctor.add_subcommand(
      "certificates", "Say what of this gateway's certificates is over or about to be");
  command->footer(
      "weak from 30 days before the end, bad from 7 (exit code 1).\n"
      "Example: warren doctor certificates");
  command->callback([&invocation] {
    const auto report = daemon_of(invocation).examine_certificates();
    if (!report) return finish(invocation, report.error());
    invocation.exit_code = examine(invocation, *report);
  });
}

}  // namespace warren::app
