"""FLARE's certificates, and certificates for keys that never left a hospital."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from nvflare.lighter.constants import ParticipantType
from nvflare.lighter.ctx import ProvisionContext
from nvflare.lighter.entity import Participant, Project
from nvflare.lighter.impl.cert import DEFAULT_CERT_VALID_DAYS, CertBuilder
from nvflare.lighter.utils import serialize_cert

from fedefm.errors import ConfigError
from fedefm.kits.request import read_request
from fedefm.trust.certificates import role_of

ROLES = ("project_admin", "org_admin", "lead", "member")
REQUEST = "request"  # property of a participant: its certificate request, as a path


class CertificateBuilder(CertBuilder):
    """Signs the request of each participant that names one; makes key and certificate of the others, as FLARE does.

    Certificates stay the same as long as the request does, so that adding one hospital changes no other kit.

    Args:
        root_valid_days: life of a new root certificate; those of participants last 360 days.
    """

    def initialize(self, project: Project, ctx: ProvisionContext) -> None:
        """Refuse roles that our policies do not know: FLARE lets `super` pass every policy.

        Raises:
            ConfigError: a person's role is another.
        """
        for person in project.get_admins():
            if person.get_prop("role") not in ROLES:
                raise ConfigError(f"{person.name}: role '{person.get_prop('role')}'; use one of {', '.join(ROLES)}")
        super().initialize(project, ctx)

    def finalize(self, project: Project, ctx: ProvisionContext) -> None:
        """Keep the CA's key, the whole of `state/`, from everyone but its owner."""
        super().finalize(project, ctx)
        state = Path(ctx.get_state_dir())
        state.chmod(0o700)
        (state / "cert.json").chmod(0o600)

    def _build_write_cert_pair(self, participant: Participant, base_name: str, ctx: ProvisionContext) -> None:
        path = participant.get_prop(REQUEST)
        if not path:
            super()._build_write_cert_pair(participant, base_name, ctx)
            return
        certificate = self._answer(participant, read_request(Path(path), participant.name, participant.org))
        kit = Path(ctx.get_kit_dir(participant))
        (kit / f"{base_name}.crt").write_bytes(serialize_cert(certificate))
        (kit / "rootCA.pem").write_bytes(self.serialized_cert)

    def _answer(self, participant: Participant, key: RSAPublicKey) -> x509.Certificate:
        """The certificate that this key has already, or a new one."""
        known = self.persistent_state.get_subject_cert(participant.subject)
        if known:
            certificate = x509.load_pem_x509_certificate(known.encode("ascii"))
            if certificate.public_key() == key and certificate.not_valid_after_utc > datetime.now(UTC):
                self._must_have_role(certificate, participant)
                return certificate
        certificate = self._certify(participant, key)
        self.persistent_state.content[participant.subject] = {
            self.persistent_state.PROP_CERT: serialize_cert(certificate).decode("ascii")
        }
        return certificate

    def _must_have_role(self, certificate: x509.Certificate, participant: Participant) -> None:
        """A person whose role has changed needs a new key: the old certificate stays good until its end."""
        wanted = participant.get_prop("role") if participant.type == ParticipantType.ADMIN else ""
        found = role_of(certificate, self.root_cert)
        if found != wanted:
            raise ConfigError(
                f"{participant.name}: has a certificate with role {found or 'none'}, the project file says {wanted}; "
                "ask for a request with a new key, and take the old entry out of state/cert.json"
            )

    def _certify(self, participant: Participant, key: RSAPublicKey) -> x509.Certificate:
        now = datetime.now(UTC)
        end = min(self.root_cert.not_valid_after_utc, now + timedelta(days=DEFAULT_CERT_VALID_DAYS))
        return self._generate_cert(
            participant.subject,
            participant.org,
            self.issuer,
            self.pri_key,
            key,
            role=participant.get_prop("role") if participant.type == ParticipantType.ADMIN else None,
            server=participant if participant.type == ParticipantType.SERVER else None,
            not_valid_before=now,
            not_valid_after=end,
        )
