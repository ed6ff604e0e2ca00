"""Take the security checks out one at a time, and see a test fail for each: `make mutants`, an hour.

A test that still passes without the check that it is about says nothing. Each mutant below is this project (or FLARE,
where the check is FLARE's) with one check removed, in a folder and a virtual environment of its own. Where two checks
guard the same thing, both are removed. A mutant counts as found if a test that runs against it fails by itself; an
error before the test, or a federation that does not even start, does not count. The first one has all its checks: there
every test must pass, or what the others show is nothing.

    python tests/mutants.py --list
    python tests/mutants.py --only T6
    python tests/mutants.py --done found.txt
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("custom", "jobs", "provisioning", "workspace_templates", "tests", "benchmarks", "docs")
PACKAGES = Path(sysconfig.get_paths()["purelib"])
FLARE = "nvflare/"
SECONDS = 1800

Edit = tuple[str, str, str]


@dataclass(frozen=True)
class Mutant:
    """A check, how it is removed, and the tests that must notice.

    Attributes:
        name: of the check.
        edits: file, the text that stands there, and what takes its place; `nvflare/` names a file of FLARE.
        tests: what pytest is asked to run.
    """

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


TRUST, DOCTOR, LOCAL = "custom/fedefm/trust/", "custom/fedefm/doctor/", "workspace_templates/"
EXCHANGE = "custom/fedefm/exchange/"
FEDERATION = "tests/federation/test_"
GUARD, KEPT = "custom/fedefm/flare/job_guard.py", "custom/fedefm/training/kept.py"
ORDERS, JOB_END_POINT = "custom/fedefm/flare/orders.py", "custom/fedefm/flare/job_end_point.py"
SUBMITTED = "custom/fedefm/flare/submitted_jobs.py"
JOBS, LEDGER, REVOKED = f"{TRUST}job_ledger.py", f"{TRUST}ledger.py", f"{TRUST}revoked.py"
APPROVAL, STATUS = "custom/fedefm/kits/approval.py", f"{DOCTOR}status.py"
GUARDED, LISTED = "tests/flare/test_job_guard.py", "tests/trust/test_revoked.py"
STORE = "custom/fedefm/training/weights_store"
DEIDENTIFY = "custom/fedefm/data/deidentify/"
MEETING, PAIRS = "custom/fedefm/survey/meeting.py", "tests/survey/test_pairs.py"
CORRECTIONS, CORRECTED = "custom/fedefm/corrections/", "tests/corrections/test_"
CACHE, PREPARED = "custom/fedefm/data/cache.py", "tests/data/test_prepared.py"
REFUSED, KITS, TLS = f"{FEDERATION}refused_jobs.py", f"{FEDERATION}altered_kits.py", f"{FEDERATION}mutual_tls.py"
NO_MANIFEST_OF_A_KIT = (f"{DOCTOR}manifest.py", '        yield failed_with("kit", error)\n', "        error.args\n")
NO_DATES = (f"{TRUST}certificates.py", "    if now < certificate.not_valid_before_utc:", "    return\n    if now:")
ANYBODY_MAY_BRING_CODE = ('"byoc": "none"', '"byoc": "any"')
NO_FAULTS_SEEN = (f"{DOCTOR}policies.py", "    for fault in faults:\n", "    for fault in ():\n")


INIT = "tests/commands/test_init.py::test_another_file_is_refused_in_one_line_and_nothing_is_written"
MUTANTS = (
    Mutant(
        "T1 the server asks for a certificate",
        (
            (
                "provisioning/project.local.yml",
                "admin_port: 8003}",
                "admin_port: 8003, connection_security: tls}",
            ),
        ),
        (f"{TLS}::test_t1_any_other_certificate_is_refused_and_the_reason_is_in_the_log",),
    ),
    Mutant(
        "T1 a kit with a certificate of another CA",
        ((f"{TRUST}certificates.py", "if not _issued_by(certificate, root):", "if False:"), NO_MANIFEST_OF_A_KIT),
        (f"{TLS}::test_t1_start_refuses_such_a_kit_and_says_why[another CA]",),
    ),
    Mutant(
        "T1 a kit with a certificate that has expired",
        (NO_DATES, NO_MANIFEST_OF_A_KIT),
        (f"{TLS}::test_t1_start_refuses_such_a_kit_and_says_why[expired]",),
    ),
    Mutant(
        "T1 a kit with a certificate of tomorrow",
        (
            NO_DATES,
            NO_MANIFEST_OF_A_KIT,
            (f"{DOCTOR}certificates.py", "    if now < max(made) - SLOW:", "    if False:"),
        ),
        (f"{TLS}::test_t1_start_refuses_such_a_kit_and_says_why[not yet valid]",),
    ),
    Mutant(
        "T1 a kit with another hospital's certificate",
        ((f"{DOCTOR}certificates.py", "if name_of(own) != kit.name:", "if False:"), NO_MANIFEST_OF_A_KIT),
        (f"{TLS}::test_t1_start_refuses_such_a_kit_and_says_why[hospital-b's]",),
    ),
    Mutant(
        "T2 the ports speak TLS only",
        (
            (
                "provisioning/project.local.yml",
                "admin_port: 8003}",
                "admin_port: 8003, connection_security: clear}",
            ),
        ),
        (f"{TLS}::test_t2_plaintext_is_refused",),
    ),
    Mutant(
        "T3 a site's name is that of its certificate (FLARE's check)",
        ((f"{FLARE}fuel/f3/cellnet/identity.py", "if peer_cn != expected_cn:", "if False:"),),
        (f"{FEDERATION}rogues.py::test_t1_t3_the_round_is_untouched_by_whoever_else_knocks",),
    ),
    Mutant(
        "T4 a person's rights are those of the role",
        (
            (
                "nvflare/fuel/sec/authz.py",
                "    def authorize(self, ctx: AuthzContext) -> (bool, str):\n",
                "    def authorize(self, ctx: AuthzContext) -> (bool, str):\n        return True, ''\n",
            ),
        ),
        (
            f"{FEDERATION}people.py::test_t4_a_hospitals_certificate_commands_nothing_in_its_own_name",
            f"{FEDERATION}people.py::test_t1_a_person_without_a_role_commands_nothing",
        ),
    ),
    Mutant(
        "T4 a signer's role",
        ((f"{TRUST}folder.py", "if not role or role not in roles:", "if False:"),),
        (f"{REFUSED}::test_t4_t6_what_no_lead_signed_starts_at_no_hospital",),
    ),
    Mutant(
        "T5, T6 files are as they were signed",
        ((f"{TRUST}compare.py", "if wanted.get(path) != present.get(path):", "if False:"),),
        (
            f"{REFUSED}::test_t4_t6_what_no_lead_signed_starts_at_no_hospital",
            f"{KITS}::test_t5_t10_it_does_not_start_and_the_file_is_named[client-script]",
            f"{KITS}::test_t5_t10_it_does_not_start_and_the_file_is_named[client-added]",
            f"{KITS}::test_t5_t10_it_does_not_start_and_the_file_is_named[server-space]",
        ),
    ),
    Mutant(
        "T5 a kit has the policies that it was signed with",
        (
            NO_MANIFEST_OF_A_KIT,
            (f"{DOCTOR}policies.py", '            yield failed_with("policy", error)\n', "            error.args\n"),
        ),
        (
            f"{KITS}::test_t5_t10_it_does_not_start_and_the_file_is_named[client-policy deleted]",
            f"{KITS}::test_t5_t10_it_does_not_start_and_the_file_is_named[client-privacy deleted]",
            f"{KITS}::test_t5_t10_it_does_not_start_and_the_file_is_named[server-missing]",
        ),
    ),
    Mutant(
        "T5, T10 nobody else may write a kit or read its key",
        (
            (f"{TRUST}listing.py", "    if not kind.tight:\n", "    if True:\n"),
            (f"{TRUST}certificates.py", "    if mode & 0o077:\n", "    if False:\n"),
        ),
        (
            f"{KITS}::test_t5_t10_it_does_not_start_and_the_file_is_named[client-group-writable]",
            f"{KITS}::test_t5_t10_it_does_not_start_and_the_file_is_named[client-key]",
        ),
    ),
    Mutant(
        "T6 a signed job runs once",
        (
            (JOBS, 'if any(line["event"] == LAUNCHED for line in self.lines_of(manifest.serial)):', "if False:"),
            (JOBS, 'or any(line["event"] == LAUNCHED for line in lines):', "or False:"),
        ),
        (f"{REFUSED}::test_a_class_off_the_list_is_built_at_no_hospital_and_the_signature_runs_once",),
    ),
    Mutant(
        "T6 classes are those of the list",
        (
            (
                f"{LOCAL}hospital/local/resources.json",
                '"class_list_enforcement_mode": "enforce"',
                '"class_list_enforcement_mode": "warn"',
            ),
            (f"{DOCTOR}policies.py", 'plain.get("class_list_enforcement_mode") != "enforce" or ', ""),
        ),
        (f"{REFUSED}::test_a_class_off_the_list_is_built_at_no_hospital_and_the_signature_runs_once",),
    ),
    Mutant(
        "T6 a job's meta.json is as it was signed",
        ((f"{TRUST}job.py", "        if key in SERVER_KEYS:\n", "        if True:\n"),),
        (f"{FEDERATION}lenient_server.py",),
    ),
    Mutant(
        "no code in a job, at the hospitals",
        (
            (f"{TRUST}job.py", "        if key in SERVER_KEYS:\n", "        if True:\n"),
            (f"{LOCAL}hospital/local/authorization.json", *ANYBODY_MAY_BRING_CODE),
            NO_FAULTS_SEEN,
        ),
        (f"{FEDERATION}lenient_server.py",),
    ),
    Mutant(
        "no code in a job, at the server",
        (
            (f"{LOCAL}server/local/authorization.json", *ANYBODY_MAY_BRING_CODE),
            NO_FAULTS_SEEN,
            (SUBMITTED, "        check_uploaded(uploaded_content)\n", ""),
            (SUBMITTED, "        check_uploaded(app)\n", ""),
        ),
        (f"{REFUSED}::test_the_server_takes_no_job_with_code_in_it_though_a_lead_signed_it",),
    ),
    Mutant(
        "T7 a check that breaks is a refusal",
        (
            (
                GUARD,
                "            return reason\n        return AppDeployer()",
                "            pass\n        return AppDeployer()",
            ),
            (GUARD, "[*launchers, REFUSAL, REFUSAL]", "launchers"),
        ),
        (f"{REFUSED}::test_t7_a_check_that_breaks_is_a_refusal",),
    ),
    Mutant(
        "a job brings no file of a site's own",
        ((f"{TRUST}job.py", "    check_configuration(one.path for one in manifest.files)\n", ""),),
        ("tests/trust/test_configuration.py",),
    ),
    Mutant(
        "the server takes no job with code",
        ((SUBMITTED, "        check_uploaded(uploaded_content)\n", ""),),
        ("tests/flare/test_submitted_jobs.py",),
    ),
    Mutant(
        "a name in a job's archive is that on the disk",
        ((SUBMITTED, 'check_path(name.removesuffix("/"))', "name"),),
        ("tests/flare/test_submitted_jobs.py",),
    ),
    Mutant(
        "a job that was stored before is looked at when it is deployed",
        ((SUBMITTED, "        check_uploaded(app)\n", ""),),
        ("tests/flare/test_submitted_jobs.py",),
    ),
    Mutant(
        "a renewed kit on a cluster keeps the ends of its ledgers",
        (("provisioning/kubernetes/kit.sh", ' "$before/$kept".head', ""),),
        ("tests/kits/test_pods.py::test_a_renewed_kit_goes_on_with_real_ledgers_and_with_the_jobs_that_wait",),
    ),
    Mutant(
        "what a job says of a cluster is dropped",
        (("custom/fedefm/flare/slurm.py", "{**job_meta, **own}", "{**own, **job_meta}"),),
        ("tests/flare/test_slurm.py",),
    ),
    Mutant(
        "T7 no role super",
        ((f"{TRUST}certificates.py", 'FORBIDDEN_ROLE = "super"', 'FORBIDDEN_ROLE = "nobody"'),),
        (f"{REFUSED}::test_t7_the_role_that_passes_every_policy_of_flare_starts_nothing_at_a_hospital",),
    ),
    Mutant(
        "prepared images are held against their SHA-256",
        ((CACHE, "_digest(into) != entry.digests[k]", "not entry.digests[k]"),),
        (f"{PREPARED}::test_a_damaged_record_is_made_again_and_nothing_changes",),
    ),
    Mutant(
        "lines about prepared images are held against their checksum",
        ((CACHE, "    if hashlib.sha256(text).hexdigest()[:_CHECK].encode() != check:", "    if not text:"),),
        (f"{PREPARED}::test_a_flipped_bit_in_the_index_is_noticed",),
    ),
    Mutant(
        "prepared images are those of today's files",
        ((CACHE, "        return same and bool(self.hashes)", "        return True or bool(self.hashes)"),),
        (f"{PREPARED}::test_what_is_changed_or_new_is_made_and_what_is_gone_is_left_out",),
    ),
    Mutant(
        "prepared images are nobody else's to read",
        ((CACHE, "_PRIVATE = 0o600", "_PRIVATE = 0o644"),),
        (f"{PREPARED}::test_nobody_else_may_read_it_and_nothing_else_looks_into_it",),
    ),
    Mutant(
        "T10 modes of what provisioning makes",
        (("custom/fedefm/flare/provision/kits.py", "        tighten(kit)\n", "        kit.exists()\n"),),
        ("tests/provisioning/test_kits.py",),
    ),
    Mutant(
        "T10 mode of the CA's key",
        (
            (
                "custom/fedefm/flare/provision/certificates.py",
                "        state.chmod(0o700)\n",
                "        state.chmod(0o755)\n",
            ),
            ("custom/fedefm/flare/provision/certificates.py", "chmod(0o600)", "chmod(0o644)"),
        ),
        ("tests/provisioning/test_kits.py",),
    ),
    Mutant(
        "T10 a warning 30 days before a certificate ends",
        ((f"{TRUST}certificates.py", "WARN_BEFORE = timedelta(days=30)", "WARN_BEFORE = timedelta(0)"),),
        ("tests/doctor", "tests/trust"),
    ),
    Mutant(
        "a job id that names a folder of the site",
        ((GUARD, "            check_id(job_id, job_meta)\n", ""),),
        ("tests/flare/test_job_guard.py",),
    ),
    Mutant(
        "a kit that calls itself the consortium",
        ((f"{DOCTOR}authority.py", ' and not (folder / "startup").exists()', ""),),
        ("tests/commands/test_doctor.py",),
    ),
    Mutant(
        "a reply of nonsense",
        (("custom/fedefm/flare/transport.py", "        except Exception:  #", "        except ZeroDivisionError:  #"),),
        ("tests/flare/test_transport.py",),
    ),
    Mutant(
        "absurd weights",
        (("custom/fedefm/models/schema.py", "MAX_WEIGHT = 1e4", "MAX_WEIGHT = 1e39"),),
        ("tests/training/test_ops.py",),
    ),
    Mutant(
        "a file's tensors are those of its network",
        (("custom/fedefm/models/checkpoint.py", "    if reason := misdeclared(declared, schema):", "    if False:"),),
        ("tests/models/test_checkpoint.py",),
    ),
    Mutant(
        "a file's values are some that training gives",
        (("custom/fedefm/models/checkpoint.py", "    if reason := misvalued(found.weights):", "    if False:"),),
        ("tests/models/test_checkpoint.py", "tests/test_hostile_weights_files.py"),
    ),
    Mutant(
        "a network of far more tensors than its file is given up",
        (("custom/fedefm/models/outline.py", "            if self._left < 0:", "            if False:"),),
        ("tests/models/test_outline.py",),
    ),
    Mutant(
        "how much a signed folder may hold",
        ((f"{TRUST}listing.py", "    if files > limits.files or size > limits.bytes:", "    if False:"),),
        ("tests/trust/test_size.py", "tests/flare/test_job_guard.py"),
    ),
    Mutant(
        "what FLARE writes into a signed kit",
        (
            (
                f"{TRUST}listing.py",
                "            written.check(file.read(MAX_JSON_BYTES + 1))",
                "            file.read(1)",
            ),
        ),
        ("tests/trust/test_disabled.py",),
    ),
    Mutant(
        "weights out of reach",
        (("custom/fedefm/training/doubt.py", "        if bool((moved > allowed).any()):", "        if False:"),),
        ("tests/training/test_doubt.py", "tests/foundation/test_hostile_weights.py"),
    ),
    Mutant(
        "patience never ends before the ceiling",
        (
            (
                "custom/fedefm/exchange/patience.py",
                "    return min(ceiling, max(least,",
                "    return max(ceiling, max(least,",
            ),
        ),
        ("tests/exchange/test_patience.py", "tests/exchange/test_absence.py"),
    ),
    Mutant(
        "a host that answers no visit is benched",
        (("custom/fedefm/exchange/state.py", "if self.benched.get(site, 0) <= self.round)", "if True)"),),
        ("tests/exchange/test_absence.py",),
    ),
    Mutant(
        "a hospital that is back gets work again",
        (("custom/fedefm/exchange/coordinator.py", "self.stages.recall(state) if state.round else state", "state"),),
        ("tests/exchange/test_absence.py",),
    ),
    Mutant(
        "T8 nothing is taken from a removed hospital",
        (("custom/fedefm/flare/transport.py", "            if task.site in removed:", "            if False:"),),
        ("tests/flare/test_transport.py",),
    ),
    Mutant(
        "T8 a block list that cannot be read",
        (
            (
                "custom/fedefm/flare/removed.py",
                "    except FileNotFoundError:",
                "    except (OSError, ValueError, KeyError):",
            ),
        ),
        ("tests/flare/test_removed.py",),
    ),
    Mutant(
        "T9 messages are held against the connection that they came by",
        ((ORDERS, "[Callback(refuse, (), {}), *registry.reg.get(here, ())]", "registry.reg.get(here, [])"),),
        (f"{FEDERATION}orders.py",),
    ),
    Mutant(
        "T9 nobody speaks in another's name",
        ((ORDERS, "not family(claim.peer) or family(claim.origin) != family(claim.peer) or ", ""),),
        ("tests/flare/test_orders.py",),
    ),
    Mutant(
        "T9 nobody brings another's token",
        ((ORDERS, " or claim.name not in (None, own)", ""),),
        ("tests/flare/test_orders.py",),
    ),
    Mutant(
        "T9 a hospital sends nothing to another",
        ((ORDERS, '        return "to another hospital"\n', "        return None\n"),),
        ("tests/flare/test_orders.py",),
    ),
    Mutant(
        "T9 a hospital listens to the server alone",
        ((ORDERS, "family(claim.origin) in known", "claim.origin"),),
        ("tests/flare/test_orders.py",),
    ),
    Mutant(
        "T9 a hospital's failure is not that of the job",
        (("custom/fedefm/flare/outcomes.py", "JobReturnCode.SUCCESS else JobReturnCode.UNKNOWN", "0 else code"),),
        ("tests/flare/test_orders.py",),
    ),
    Mutant(
        "T9 of a hospital's events its figures alone are fired",
        ((JOB_END_POINT, "EVENT_TYPE) != FIGURES:", "EVENT_TYPE) is FIGURES:"),),
        ("tests/flare/test_job_end_point.py",),
    ),
    Mutant(
        "T9 what cannot be decoded does not end the job's process",
        (
            (
                JOB_END_POINT,
                "        adapter.my_info = FqcnInfo(SERVER)\n",
                "        adapter.my_info = adapter.my_info\n",
            ),
        ),
        ("tests/flare/test_job_end_point.py",),
    ),
    Mutant(
        "T9 a stream is ended by its receiver alone",
        ((JOB_END_POINT, "if task is not None and task.target !=", "if task is None and None is not"),),
        ("tests/flare/test_job_end_point.py",),
    ),
    Mutant(
        "weights from a hospital's store are hashed again",
        ((f"{STORE}.py", " if weights_sha256(stored) == sha256 else None", ""),),
        ("tests/training/test_weights_store.py",),
    ),
    Mutant(
        "only a hash names a file of the store",
        ((f"{STORE}.py", "type(value) is str and _SHA256.fullmatch(value) is not None", "type(value) is str"),),
        ("tests/training/test_weights_store.py",),
    ),
    Mutant(
        "a store does not outgrow its bound",
        ((f"{STORE}.py", "                self._make_room(size)\n", ""),),
        ("tests/training/test_weights_store.py",),
    ),
    Mutant(
        "a full disk ends the keeping, not the work",
        (
            (
                f"{STORE}.py",
                "        except (OSError, SafetensorError):\n            _LOG",
                "        except ZeroDivisionError:\n            _LOG",
            ),
        ),
        ("tests/training/test_weights_store.py",),
    ),
    Mutant(
        "a hospital cannot ask for weights for ever",
        (("custom/fedefm/flare/transport.py", "if sent.parcel.whole else None", "if False else None"),),
        ("tests/flare/test_transport.py::test_a_hospital_that_asks_for_ever_is_lost",),
    ),
    Mutant(
        "hashes that a hospital says it holds are checked",
        (("custom/fedefm/flare/envelope.py", "len(held) > 2 * MAX_HASHES or not all(map(is_sha256, held))", "False"),),
        ("tests/flare/test_transport.py::test_what_a_hospital_says_that_it_holds_is_checked",),
    ),
    Mutant(
        "a hospital tells of no weights that it was not asked about",
        (
            (
                f"{STORE}.py",
                "for sha256 in asked if is_sha256(sha256) and self._place(sha256).exists()",
                "for sha256 in self._own",
            ),
        ),
        ("tests/flare/test_foundation_executor.py",),
    ),
    Mutant(
        "a value beyond half precision is refused",
        (("custom/fedefm/maths/half.py", "if not bool(torch.isfinite(half).all()):", "if False:"),),
        ("tests/maths/test_half.py",),
    ),
    Mutant(
        "W3 more bytes than the weights have",
        (("custom/fedefm/flare/fetching.py", "if self._left < 0 or self._tensors < 0:", "if False:"),),
        ("tests/flare/test_fetching.py",),
    ),
    Mutant(
        "W3 a message larger than all weights",
        (("custom/fedefm/flare/fetching.py", "            handler.max_blob_size = limit", "            limit += 0"),),
        ("tests/flare/test_fetching.py",),
    ),
    Mutant(
        "tensors that come slowly or without end",
        (("custom/fedefm/flare/fetching.py", "or self._clock() >= self._end", ""),),
        ("tests/flare/test_fetching.py",),
    ),
    Mutant(
        "tensors of another hospital",
        (("custom/fedefm/flare/fetching.py", 'or expected.site not in first.fqcn.split(".")', ""),),
        ("tests/flare/test_fetching.py",),
    ),
    Mutant(
        "a kept round is what was written",
        ((KEPT, '        sound = whole["sha256"] == _digest(content)', "        sound = True"),),
        ("tests/training/test_kept.py",),
    ),
    Mutant(
        "kept weights are those that the round names",
        ((KEPT, "        if found.sha256 != sha256:", "        if False:"),),
        ("tests/training/test_kept.py",),
    ),
    Mutant(
        "a damaged round gives the one before",
        ((KEPT, "GENERATIONS = 2", "GENERATIONS = 1"),),
        ("tests/training/test_kept.py",),
    ),
    Mutant(
        "a run goes on from the images that it began with",
        (
            (
                "custom/fedefm/simulation/interrupted.py",
                "if not folder.is_dir() or folder_sha256(folder) != self.data[site]:",
                "if False:",
            ),
        ),
        ("tests/simulation/test_resume.py::test_what_changed_the_result_is_refused_in_one_line",),
    ),
    Mutant(
        "a student believes no teacher blindly",
        (("custom/fedefm/foundation/start.py", "return {host: shares[host] for", "return {host: 1.0 for"),),
        ("tests/foundation/test_hospital.py",),
    ),
    Mutant(
        "a teacher that cannot be compared ends nothing",
        (("custom/fedefm/foundation/distil.py", "except OptimalTransportError:", "except ZeroDivisionError:"),),
        ("tests/foundation/test_distil.py",),
    ),
    Mutant(
        "an agreement is a number in [0, 1]",
        (("custom/fedefm/exchange/bounds.py", "_AGREEMENT = Number(SHARE, known=True)", "_AGREEMENT = Number()"),),
        ("tests/exchange/test_coordinator.py", "tests/exchange/test_bounds.py"),
    ),
    Mutant(
        "one host decides",
        (
            (
                "custom/fedefm/exchange/reputation.py",
                "if len(votes) > 1 else 1.0",
                "if votes else 1.0",
            ),
        ),
        ("tests/exchange/test_reputation.py",),
    ),
    Mutant(
        "a figure in its range",
        ((f"{EXCHANGE}bounds.py", "not low <= value <= high", "False"),),
        ("tests/exchange/test_bounds.py",),
    ),
    Mutant(
        "a name that the job knows",
        ((f"{EXCHANGE}bounds.py", "if type(name) is not str or name not in known:", "if False:"),),
        ("tests/exchange/test_bounds.py",),
    ),
    Mutant(
        "a figure that is there",
        ((f"{EXCHANGE}bounds.py", "if self.whole and len(found) != len(known):", "if False:"),),
        ("tests/exchange/test_bounds.py",),
    ),
    Mutant(
        "one count for one hospital",
        ((f"{EXCHANGE}stages.py", "if said is not None and images != said:", "if False:"),),
        ("tests/exchange/test_bounds.py",),
    ),
    Mutant(
        "a count weighs at most twice the median",
        ((f"{EXCHANGE}shares.py", "float(min(max(1, counts[site]), most))", "float(max(1, counts[site]))"),),
        ("tests/exchange/test_shares.py", "tests/finetune/test_rounds.py"),
    ),
    Mutant(
        "the median hospital chooses the round",
        (("custom/fedefm/finetune/metric.py", "gain = median(gains) if gains", "gain = sum(gains) if gains"),),
        ("tests/finetune/test_metric.py",),
    ),
    Mutant(
        "few images are told nowhere",
        (("custom/fedefm/metrics/suppression.py", "if least == 1 else suppress_small", "if True else suppress_small"),),
        ("tests/training/test_site.py",),
    ),
    Mutant(
        "a hospital answers each other one once in a count of pictures",
        ((MEETING, "        if task.visitor in self._answered:", "        if False:"),),
        (PAIRS,),
    ),
    Mutant(
        "few common pictures are not told",
        ((MEETING, "return common if common >= least else None", "return common"),),
        (PAIRS,),
    ),
    Mutant(
        "a hospital may stay out of a count of pictures",
        ((MEETING, "return self._compares and len(", "return len("),),
        (PAIRS,),
    ),
    Mutant(
        "an answer to an offer has as many points",
        (("custom/fedefm/survey/points.py", "if weights[MINE].shape != offered.shape:", "if False:"),),
        (PAIRS,),
    ),
    Mutant(
        "hashes of pictures are points of the curve",
        ((f"{TRUST}private_count.py", "if on_curve(point))", "if point)"),),
        ("tests/trust/test_private_count.py",),
    ),
    Mutant(
        "few images train nothing",
        (("custom/fedefm/training/site.py", "        if images < self.least:\n", "        if False:\n"),),
        ("tests/training/test_site.py",),
    ),
    Mutant(
        "a filter that would filter nothing",
        (("custom/fedefm/flare/filters.py", "if not isinstance(one, WeightsFilter):", "if False:"),),
        ("tests/flare/test_filters.py",),
    ),
    Mutant(
        "D7 a file's name in a hospital's log",
        (("custom/fedefm/flare/job_executor.py", "    if isinstance(error, DataError):\n", "    if False:\n"),),
        ("tests/flare/test_foundation_executor.py",),
    ),
    Mutant(
        "D7 a file's name in the doctor's words",
        ((f"{DOCTOR}data.py", "summary.anomalies if show_names else summary.nameless", "summary.anomalies"),),
        ("tests/commands/test_doctor.py",),
    ),
    Mutant(
        "a mark stands where our logger puts it",
        (
            (
                "custom/fedefm/flare/progress.py",
                "found = _OURS.match(line)",
                "found = re.search(r'(fedefm-[a-z]+ )', line)",
            ),
        ),
        ("tests/flare/test_progress.py",),
    ),
    Mutant(
        "a record is one record",
        (
            (
                "custom/fedefm/flare/log_lines.py",
                'return "\\n    ".join(visible(line) for',
                'return "\\n".join(visible(line) for',
            ),
        ),
        ("tests/flare/test_progress.py",),
    ),
    Mutant(
        "control characters of a peer",
        (("custom/fedefm/errors.py", "c if c.isprintable() else", "c if True else"),),
        ("tests/flare/test_progress.py",),
    ),
    Mutant(
        "D7 a name that is left in a cleaned file holds it back",
        ((f"{DEIDENTIFY}one_file.py", "if header.left_over(part, telling):", "if False:"),),
        ("tests/data/deidentify/test_silo.py::test_a_name_that_is_left_in_a_file_holds_it_back",),
    ),
    Mutant(
        "D7 what may be burned-in text holds a file back",
        ((f"{DEIDENTIFY}silo.py", "and not work.accept_text:", "and work.accept_text:"),),
        ("tests/data/deidentify/test_silo.py::test_good_files_are_taken_and_each_other_one_has_its_reason",),
    ),
    Mutant(
        "images without masks of a patient who is tested are found by their header",
        (
            (
                "custom/fedefm/data/grouped.py",
                "identity_of(images[stem], _SALT))",
                "identity_of(images[stem], secrets.token_bytes(16)))",
            ),
        ),
        ("tests/data/test_unlabelled.py::test_another_picture_of_a_patient_who_is_tested_is_left_out_by_the_header",),
    ),
    Mutant(
        "the live page answers no other name than this machine's own",
        (("custom/fedefm/commands/live_page.py", 'self.headers.get("Host") not in self.server.hosts', "False"),),
        ("tests/commands/test_live_page.py::test_a_page_of_somebody_elses_name_is_refused",),
    ),
    Mutant(
        "a status that a server sends is read as hostile",
        (("custom/fedefm/exchange/status.py", "if not text.isprintable():", "if False:"),),
        ("tests/exchange/test_status.py::test_a_status_of_a_server_that_lies_is_refused",),
    ),
    Mutant(
        "a polite stop is told",
        (("custom/fedefm/flare/polite_stop.py", "    telling.start()\n    telling.join(GOODBYE_SECONDS)\n", ""),),
        ("tests/flare/test_polite_stop.py::test_the_file_of_stop_fl_makes_it_say_good_bye_and_end",),
    ),
    Mutant(
        "ledger: a line that was changed",
        ((LEDGER, 'if line.get("before") != before.sha256:', "if False:"),),
        ("tests/trust/test_ledger.py::test_what_was_done_to_it_is_named_and_nothing_more_is_added[changed]",),
    ),
    Mutant(
        "ledger: an end that was cut off",
        (
            (LEDGER, "if len(data) < head.lines:", "if False:"),
            (LEDGER, "if head.lines and _sha256(data[head.lines - 1]) != head.sha256:", "if False:"),
        ),
        ("tests/trust/test_ledger.py::test_what_was_done_to_it_is_named_and_nothing_more_is_added",),
    ),
    Mutant(
        "ledger: what could not be noted does not leave",
        (("custom/fedefm/flare/job_executor.py", "            emptied(reply, error)\n", ""),),
        ("tests/flare/test_outbox.py::test_whatever_goes_wrong_nothing_leaves",),
    ),
    Mutant(
        "approval: a job waits where the hospital asks",
        ((APPROVAL, "    if not policy.ask:", "    if True:"),),
        (f"{GUARDED}::test_a_job_waits_until_a_person_has_said_yes_and_then_the_same_folder_runs",),
    ),
    Mutant(
        "approval: a standing rule is for its signer and its kinds",
        ((APPROVAL, "return any(rule.signer == signer and kind in rule.kinds", "return any(True"),),
        (f"{GUARDED}::test_a_standing_rule_lets_one_kind_of_one_signer_through",),
    ),
    Mutant(
        "approval: a no is a no",
        ((APPROVAL, 'if decision is not None and decision["event"] == DENIED:', "if False:"),),
        (f"{GUARDED}::test_a_job_that_was_denied_does_not_run_whatever_the_policy",),
    ),
    Mutant(
        "approval: a policy that cannot be read",
        (
            (
                APPROVAL,
                "    except ConfigError as error:  # its text",
                "    except ConfigError:\n        policy = Approval()\n    except OSError as error:  # its text",
            ),
        ),
        (f"{GUARDED}::test_a_policy_that_cannot_be_read_refuses_and_tells_nothing_of_it",),
    ),
    Mutant(
        "approval: a job is verified again when a person looks at it",
        ((f"{TRUST}compare.py", "if wanted.get(path) != present.get(path):", "if False:"),),
        ("tests/commands/test_approve.py::test_a_job_that_was_changed_while_it_waited_is_not_approved",),
    ),
    Mutant(
        "deny list: a peer",
        (("custom/fedefm/flare/revoked.py", "        if good:\n", "        if False:\n"),),
        ("tests/flare/test_revoked.py::test_a_peer_is_good_until_its_certificate_is_revoked",),
    ),
    Mutant(
        "deny list: who is connected",
        (("custom/fedefm/flare/revoked.py", "            manager.disable_client(name)\n", ""),),
        ("tests/flare/test_revoked.py::test_who_is_connected_when_it_is_revoked_is_disabled_at_the_next_heartbeat",),
    ),
    Mutant(
        "deny list: who signed a job",
        ((GUARD, "    must_be_good(signer, Path(workspace.get_root_dir()), root)\n", ""),),
        (f"{GUARDED}::test_a_job_of_a_lead_who_was_revoked_is_neither_deployed_nor_launched",),
    ),
    Mutant(
        "deny list: who may sign it",
        ((REVOKED, "    check_signer(signer, load_certificate(root), ROLES, made)\n", ""),),
        (f"{LISTED}::test_who_may_not_sign_jobs_signs_no_list",),
    ),
    Mutant(
        "deny list: older lists",
        ((REVOKED, "    if new.number <= now.number or new.number < noted:", "    if False:"),),
        (f"{LISTED}::test_a_site_takes_newer_lists_and_no_older_one",),
    ),
    Mutant(
        "deny list: nothing comes off it",
        ((REVOKED, "if lost := now.serials - new.serials:", "if lost := sorted(()):"),),
        (f"{LISTED}::test_nothing_comes_off_a_list_again_not_even_by_a_newer_one",),
    ),
    Mutant(
        "deny list: a site remembers that it had one",
        ((REVOKED, "    if found.number < noted:", "    if False:"),),
        (f"{LISTED}::test_a_site_does_not_forget_that_it_had_a_list",),
    ),
    Mutant(
        "start: a number of another program",
        ((STATUS, "        (kit.folder / name).unlink(missing_ok=True)\n", "        name.strip()\n"),),
        ("tests/doctor/test_status.py::test_numbers_of_other_programs_do_not_stand_in_the_way_of_a_start",),
    ),
    Mutant(
        "start: a port that is taken",
        ((STATUS, "        if _taken(port):", "        if False:"),),
        ("tests/doctor/test_status.py::test_a_port_that_another_program_has_is_named_before_the_server_starts",),
    ),
    Mutant(
        "a zip of a kit is its owner's alone",
        (("custom/fedefm/federation/membership.py", "os.O_EXCL, 0o600)", "os.O_EXCL, 0o644)"),),
        ("tests/federation/test_membership.py::test_a_zip_is_its_owners_alone_and_keeps_the_modes_of_the_kit",),
    ),
    Mutant(
        "A frame that nobody looked at is no label",
        ((f"{CORRECTIONS}looked_at.py", "if changed or frame.frame in right:", "if True:"),),
        (f"{CORRECTED}looked_at.py::test_nobody_looked_at_what_is_as_it_was_proposed",),
    ),
    Mutant(
        "A link out of a folder of corrections",
        ((f"{CORRECTIONS}looked_at.py", "if path.is_symlink() or not path.is_file():", "if not path.is_file():"),),
        (f"{CORRECTED}looked_at.py::test_a_mask_that_does_not_fit_is_refused_in_one_line",),
    ),
    Mutant(
        "A proposal that was changed",
        ((f"{CORRECTIONS}looked_at.py", "if mask_sha256(proposal) != frame.proposed:", "if False:"),),
        (f"{CORRECTED}looked_at.py::test_a_mask_that_does_not_fit_is_refused_in_one_line",),
    ),
    Mutant(
        "A run that is not the one that was segmented",
        (("custom/fedefm/inference/whereabouts.py", "if file_sha256(path) != sha256:", "if False:"),),
        (f"{CORRECTED}silo.py::test_a_source_that_was_changed_since_is_refused",),
    ),
    Mutant(
        "A corrected frame that may show text",
        ((f"{CORRECTIONS}silo.py", "if not said.accept_text and", "if False and"),),
        (f"{CORRECTED}silo.py::test_a_frame_that_may_show_text_stays_out",),
    ),
    Mutant(
        "A corrected frame like one of another split",
        ((f"{CORRECTIONS}whose.py", "if split_of[other] != split_of[frame.patient]:", "if False:"),),
        (f"{CORRECTED}silo.py::test_a_picture_like_one_of_another_split_is_refused",),
    ),
    Mutant(
        "A model on what it proposed itself",
        (("custom/fedefm/data/dataset.py", 'if split == "test" and stem in manifest.proposed', "if stem is None"),),
        ("tests/evaluation/test_left_out.py::test_they_are_left_out_and_counted_and_others_are_not",),
    ),
    Mutant(
        "an encoder's file is safetensors, never pickle",
        (("custom/fedefm/models/published.py", 'if encoder.suffix != ".safetensors":', "if False:"),),
        (f"{INIT}[pickle-only safetensors is read]",),
    ),
    Mutant(
        "an encoder's file is of the network that it is for",
        (("custom/fedefm/models/published.py", "if taken < LEAST_TAKEN * whole:", "if False:"),),
        (f"{INIT}[wrong_network-does not fit tu-test_resnet]",),
    ),
)


ALL_CHECKS = Mutant("all checks in place", (), tuple(dict.fromkeys(test for one in MUTANTS for test in one.tests)))


def make(mutant: Mutant, folder: Path) -> Path:
    """Lay out a mutant; the Python that runs it."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    python, own = environment(folder / "environment", [folder / "custom", PACKAGES])
    for file, old, new in mutant.edits:
        path = folder / file
        if file.startswith(FLARE):
            shutil.copytree(PACKAGES / FLARE, own / FLARE)
            path = own / file
        text = path.read_text()
        if old not in text:
            raise SystemExit(f"{mutant.name}: {file} does not hold {old!r}")
        path.write_text(text.replace(old, new))
    return python


def environment(folder: Path, paths: list[Path]) -> tuple[Path, Path]:
    """A virtual environment that sees these folders, with the command that sites need; its Python and packages."""
    venv.create(folder, symlinks=True)
    own = Path(sysconfig.get_paths(vars={"base": str(folder)})["purelib"])
    (own / "mutant.pth").write_text("".join(f"{path}\n" for path in paths))
    python, command = folder / "bin" / "python", folder / "bin" / "fedefm"
    command.write_text(f"#!{python}\nimport sys\nfrom fedefm.cli import main\nsys.exit(main())\n")
    command.chmod(0o755)
    return python, own


def verdict(mutant: Mutant, folder: Path) -> tuple[bool, str]:
    """Whether the tests said what they must, and what they said."""
    python, report = make(mutant, folder), folder / "report.xml"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", f"--junitxml={report}", *mutant.tests]
    words += ["--exitfirst"] if mutant.edits else []  # one failure is enough
    with (folder / "said.txt").open("wb") as said:
        subprocess.run([str(python), *words], cwd=folder, stdout=said, stderr=said, timeout=SECONDS, check=False)
    if not report.exists():
        return False, "pytest did not run"
    suite = next(ElementTree.parse(report).iter("testsuite")).attrib
    tests, failures, errors = (int(suite[name]) for name in ("tests", "failures", "errors"))
    right = tests > 0 and not errors and bool(failures) == bool(mutant.edits)  # a test that is not there runs none
    return right, f"{failures} of {tests} tests failed, {errors} errors"


def main() -> int:
    """Try the mutants; 1 if one was not found, or if a test fails with all checks in place."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="name the mutants")
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="those whose name matches this regular expression"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave what was said and done there")
    parser.add_argument(
        "--done", type=Path, metavar="FILE", help="go on: leaves out those named there, adds those found"
    )
    given = parser.parse_args()
    done = given.done.read_text().splitlines() if given.done and given.done.exists() else []
    chosen = [mutant for mutant in (ALL_CHECKS, *MUTANTS) if re.search(given.only, mutant.name, re.IGNORECASE)]
    chosen = [mutant for mutant in chosen if mutant.name not in done]
    missed = 0
    for number, mutant in enumerate(chosen):
        if given.list:
            print(mutant.name)
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) if given.keep is None else given.keep / str(number)
            right, said = verdict(mutant, place)
        missed += not right
        if right and given.done:
            with given.done.open("a") as file:
                file.write(f"{mutant.name}\n")
        print(f"{'ok' if right else 'NOT FOUND'}  {mutant.name}: {said} ({time.monotonic() - begin:.0f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
