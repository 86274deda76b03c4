"""`[plugins.telephony]` in plugins.toml."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

_URL = r"^https?://[^\s/?#]+(/[^\s?#]*)?$"


class Settings(BaseModel):
    """A service is off until its secret is there."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    public_url: str | None = Field(
        None,
        pattern=_URL,
        max_length=500,
        description="this server's address as the services call it, such as https://phone.example.com; needed behind "
        "a proxy, as Twilio signs it; default: what the request says",
    )
    scope: str | None = Field(
        None, max_length=100, description="scope of the key that will ask about the callers; default: default"
    )
    twilio_auth_token: SecretStr | None = Field(None, description="what Twilio signs with, by reference")
    twilio_next_url: str | None = Field(
        None,
        pattern=_URL.replace("[^\\s?#]*)?$", "[^\\s#]*)?$"),
        max_length=2000,
        description="where Twilio gets the call's own TwiML from; the voice webhook redirects there",
    )
    twilio_twiml: str | None = Field(
        None, max_length=20_000, description="or the TwiML itself, { file = … }; one of the two for the voice webhook"
    )
    vapi_secret: SecretStr | None = Field(
        None, description="what Vapi sends as X-Vapi-Secret or as a bearer token, by reference"
    )
    vapi_hmac_key: SecretStr | None = Field(
        None, description="what Vapi signs with, by reference; then the secret alone is not enough"
    )
    vapi_hmac_algorithm: Literal["sha256", "sha512", "sha1"] = Field("sha256", description="of that signature")
    vapi_signature_header: str = Field(
        "x-signature", pattern="^[A-Za-z0-9-]{1,80}$", description="where the signature is"
    )
    vapi_signature_prefix: str = Field("", max_length=40, description="what stands before it, such as sha256=")
    vapi_timestamp_header: str = Field(
        "x-timestamp",
        pattern="^[A-Za-z0-9-]{0,80}$",
        description="where its time is; empty: the body alone is signed",
    )
    vapi_tolerance_seconds: float = Field(
        300.0, gt=0, le=3600, description="how old a signed message may be, and how wrong a clock"
    )
    vapi_assistant_id: str | None = Field(
        None, min_length=1, max_length=200, description="the assistant that takes the call, when Vapi asks for one"
    )
    vapi_refusal: str = Field(
        "This number cannot take calls at the moment.",
        max_length=500,
        description="what a caller hears when Vapi asks for an assistant and none is set",
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.twilio_next_url and self.twilio_twiml:
            raise ValueError("give either twilio_next_url or twilio_twiml")
        for name in ("twilio_auth_token", "vapi_secret", "vapi_hmac_key"):
            value: SecretStr | None = getattr(self, name)
            if value is not None and len(value.get_secret_value()) < 8:
                raise ValueError(f"{name} is too short to be a secret")
        return self
