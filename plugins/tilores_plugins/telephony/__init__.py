"""Call-start webhooks of Twilio and Vapi: the caller's records are warmed while the phone still rings.

A service's routes are there when its secret is in the settings, and take nothing that is not signed with it. They
answer at once and in the form that the service expects; the reply says neither who the caller is nor whether a
customer was found.
"""

from __future__ import annotations

from tilores_core import RouterSpec, hookimpl


@hookimpl
def register_routers() -> list[RouterSpec]:
    return [
        RouterSpec(
            name="telephony",
            public=True,  # each service's signature or secret is checked by its route
            factory="tilores_plugins.telephony.routes:build",
            settings="tilores_plugins.telephony.settings:Settings",
            environment={
                "twilio_auth_token": "TWILIO_AUTH_TOKEN",
                "vapi_secret": "VAPI_SERVER_SECRET",
                "vapi_hmac_key": "VAPI_HMAC_KEY",
            },
            summary="Twilio's and Vapi's call-start webhooks, which make a caller ready",
        )
    ]
