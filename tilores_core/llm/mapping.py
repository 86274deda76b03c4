"""A provider's failure as one of our errors.

What the provider wrote is only looked at to recognise the case; it may repeat the prompt, so it is shown nowhere, but
for the first line of why content was refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tilores_core.errors import (
    ContentRefusedError,
    ContextTooLongError,
    InvalidRequestError,
    ProviderAuthError,
    ProviderError,
    ProviderQuotaError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    TiloresError,
    UnknownModelError,
    UnsupportedParameterError,
)
from tilores_core.llm.failures import HTML_PAGE, Failure, failure_of, first_line

_WORD: Final = re.compile(r"[A-Za-z0-9_.\-/]{1,64}")

_REFUSED_CODES: Final = frozenset(
    {
        *("content_filter", "content_policy_violation", "content_policy", "content_moderation", "invalid_prompt"),
        *("data_inspection_failed", "datainspectionfailed", "moderation", "prompt_blocked"),
        *("responsibleaipolicyviolation", "safety", "1301"),  # the last is Zhipu's
    }
)
_CONTEXT_CODES: Final = frozenset({"context_length_exceeded", "context_window_exceeded", "exceed_context_size_error"})
_QUOTA_CODES: Final = frozenset(
    {
        *("insufficient_quota", "insufficient_balance", "insufficient_credits", "billing_error"),
        *("billing_not_active", "billing_hard_limit_reached", "credit_balance_too_low", "arrearage"),
        *("budget_exceeded", "exceeded_current_quota_error", "1113"),  # the last is Zhipu's
    }
)
_AUTH_CODES: Final = frozenset(
    {"invalid_api_key", "authentication_error", "permission_error", "permission_denied", "unauthenticated"}
)
_MODEL_CODES: Final = frozenset(
    {*("model_not_found", "model_decommissioned", "invalid_model", "not_found_error"), "1211"}  # the last is Zhipu's
)
_LIMIT_CODES: Final = frozenset(
    {
        *("rate_limit_exceeded", "rate_limit_error", "rate_limited", "resource_exhausted", "throttlingexception"),
        *("too_many_requests", "toomanyrequestsexception"),
    }
)
_DOWN_CODES: Final = frozenset(
    {
        *("api_error", "deadline_exceeded", "engine_overloaded", "internal", "internal_error"),
        *("internal_server_error", "over_capacity", "overloaded", "overloaded_error", "server_error"),
        *("service_unavailable", "timeout", "timeout_error", "unavailable"),
        # What the model wrote cannot be read: no fault of the request.
        *("json_validate_failed", "output_parse_failed", "tool_use_failed"),
    }
)
_OF_THE_REQUEST: Final = frozenset({400, 413, 422, 451})
"""Below 500, these blame the request; the others come from what stands before the model, or from its account."""
_PASSING: Final = frozenset({408, 409, 423, 424, 425, *range(440, 500)}) - {451}
"""Below 500, and another call may work: a model that is not ready (424), a machine without room (498), a proxy."""
_PAGE: Final = frozenset({HTML_PAGE})
_UNSUPPORTED_CODES: Final = frozenset({"unsupported_parameter", "unsupported_value"})

_REFUSED: Final = re.compile(
    r"content (management )?policy|content[- _]filter|flagged|violat\w+ (our|the|its) .{0,40}polic|safety system"
    r"|usage guidelines|may contain (inappropriate|sensitive)"
    r"|requires moderation|content exists risk|usage polic(y|ies)|blocked (by|due to) .{0,30}(safety|policy)",
    re.IGNORECASE,
)
_CONTEXT: Final = re.compile(
    r"context[ _](length|window|size|limit)|(prompt|input) is too long|too many (input )?tokens"
    r"|input tokens? .{0,40}exceed|token count .{0,60}exceed|exceeded model token limit|prompt exceeds max"
    r"|reduce the length of|exceeds? the (available )?context|too large for model|range of input length"
    r"|`inputs` .{0,60}tokens|maximum (number of )?(input )?tokens|maximum prompt length",
    re.IGNORECASE,
)
_MODEL: Final = re.compile(
    r"not a valid model|model not exist|model .{1,100} (does not exist|not found|is not supported)|unknown model"
    r"|invalid model name",
    re.IGNORECASE,
)
_ABOUT_A_MODEL: Final = re.compile("model|deployment|engine", re.IGNORECASE)
_NO_PROVIDER: Final = re.compile("no (endpoints|allowed providers)", re.IGNORECASE)  # OpenRouter's
_DOWN: Final = re.compile(
    r"DEGRADED function|upstream request failed|model unloaded|model has crashed"
    r"|(Throttling|ServiceUnavailable|ModelNotReady)Exception|EngineCore|EngineDeadError",
    re.IGNORECASE,
)
_SLOWER: Final = re.compile(r"please (wait|slow down|try again) (before|in|later)|rate limit", re.IGNORECASE)
_QUOTA: Final = re.compile(
    # Not "exceeded your current quota": Google says that of a limit per minute too.
    r"credit balance is too low|insufficient (balance|credits?|funds)|have any credits|balance is insufficient"
    r"|spending limit|your specified API usage limits|budget has been exceeded|exceeded your monthly",
    re.IGNORECASE,
)
_BAD_KEY: Final = re.compile(
    r"api[ _]key (not valid|is invalid|expired|not found)|(invalid|incorrect) api[ _]key", re.IGNORECASE
)

_PLACE: Final = re.compile(r"location is not supported|country, region, or territory not supported", re.IGNORECASE)


def error_of(
    error: Exception,
    *,
    provider: str,
    title: str | None = None,
    key_variable: str | None = None,
    model: str | None = None,
) -> Exception:
    """Any exception of an SDK, of LangChain or of the HTTP client as one of ours, for `LLMProvider.map_error`; ours
    stay as they are."""
    if isinstance(error, TiloresError):
        return error
    if isinstance(error, UnicodeEncodeError):  # half a surrogate pair, before anything was sent
        return InvalidRequestError("a text in the messages is not valid Unicode", param="messages")
    failure = failure_of(error)
    return map_failure(failure, provider=provider, title=title, key_variable=key_variable, model=model)


def map_failure(
    failure: Failure,
    *,
    provider: str,
    title: str | None = None,
    key_variable: str | None = None,
    model: str | None = None,
) -> TiloresError:
    """The error that a failure is. `title` is how the provider is called in messages."""
    return _Mapping(
        failure, provider, title or provider, key_variable, f"the model '{model}'" if model else "the model"
    )()


@dataclass(frozen=True, slots=True)
class _Mapping:
    failure: Failure
    provider: str
    title: str
    key_variable: str | None
    model: str

    def __call__(self) -> TiloresError:
        # The order matters: a 400 may be any of the first three, and a quota comes as a 429.
        return self._about_the_content() or self._about_the_account() or self._by_status()

    def _about_the_content(self) -> TiloresError | None:
        failure = self.failure
        if failure.status not in (None, 200, 400, 403, 413, 422, 451, 500) or self._is_too_fast():
            return None
        of_the_answer = failure.param in ("max_tokens", "max_completion_tokens")
        too_long = failure.status == 413 or (_CONTEXT.search(failure.text) and not of_the_answer)
        if too_long or failure.says(_CONTEXT_CODES):
            return ContextTooLongError(
                f"the conversation does not fit {self.model} of {self.title}",
                param="messages",
                fix="shorten it, or choose a model with a larger context window",
            )
        if failure.says(_REFUSED_CODES) or _REFUSED.search(failure.text):
            reason = first_line(failure.text)
            return ContentRefusedError(
                f"{self.title} refuses the content{f': {reason}' if reason else ''}", provider=self.provider
            )
        return None

    def _about_the_account(self) -> TiloresError | None:
        failure = self.failure
        if failure.status == 402 or failure.says(_QUOTA_CODES) or _QUOTA.search(failure.text):
            return ProviderQuotaError(
                f"the account at {self.title} is out of credit", provider=self.provider, fix="top it up"
            )
        if failure.status == 404 and (
            _NO_PROVIDER.search(failure.text)
            or not (failure.says(_MODEL_CODES) or _ABOUT_A_MODEL.search(" ".join((failure.text, *failure.codes))))
        ):
            return self._misled(404)
        if (
            failure.says(_MODEL_CODES)
            or failure.status == 404
            or (failure.status == 400 and _MODEL.search(failure.text))
        ):
            return UnknownModelError(
                f"{self.title} does not know {self.model}, or it is not for this account",
                fix="`tilores models` lists what there is; base_url may be wrong too",
            )
        if _PLACE.search(failure.text):
            return ProviderError(
                f"{self.title} does not serve the country of this machine", provider=self.provider, fix="use another"
            )
        if failure.status in (401, 403) or failure.says(_AUTH_CODES) or _BAD_KEY.search(failure.text):
            return ProviderAuthError(
                f"{self.title} refuses our key",
                provider=self.provider,
                fix=f"check {self.key_variable}" if self.key_variable else "check the key in plugins.toml",
            )
        return None

    def _by_status(self) -> TiloresError:
        failure = self.failure
        status = failure.status
        if self._is_too_fast():
            return ProviderRateLimitedError(
                f"{self.title} asks us to slow down", provider=self.provider, retry_after=failure.retry_after
            )
        if (status is not None and (status >= 500 or status in _PASSING)) or failure.says(_DOWN_CODES):
            return self._unavailable(f"answers {status}" if status else "broke off with an error of its own")
        if status == 400 and _DOWN.search(failure.text):
            return self._unavailable("cannot answer now")
        if status is not None and (status not in _OF_THE_REQUEST or failure.says(_PAGE)):
            return self._misled(status)
        if status is not None:
            return self._invalid(status)
        if failure.kind == "timeout":
            return self._unavailable("does not answer in time")
        if failure.kind == "connection":
            return self._unavailable("cannot be reached, or broke the connection")
        if failure.kind == "malformed":
            return self._unavailable("sent something that is not an answer")
        return ProviderError(
            f"{self.title} failed{f' ({self._word()})' if self._word() else ''}", provider=self.provider
        )

    def _is_too_fast(self) -> bool:
        failure = self.failure
        told = failure.status == 400 and _SLOWER.search(failure.text) is not None  # Bedrock's throttling
        return told or failure.status == 429 or failure.says(_LIMIT_CODES)

    def _misled(self, status: int) -> ProviderError:
        """No answer of the model's server to the request, but of another one, or to another address."""
        return ProviderError(
            f"{self.title} answers {status}, which is not about the request",
            provider=self.provider,
            fix="check base_url, the account, and the proxies on the way",
        )

    def _unavailable(self, what: str) -> ProviderUnavailableError:
        return ProviderUnavailableError(f"{self.title} {what}", provider=self.provider, fix="ask again later")

    def _invalid(self, status: int) -> InvalidRequestError:
        param = self.failure.param
        if self.failure.says(_UNSUPPORTED_CODES):
            return UnsupportedParameterError(
                f"{self.model} of {self.title} cannot take {param or 'a parameter'} as given",
                param=param,
                fix="leave it out, or choose another model",
            )
        about = ", ".join(filter(None, (str(status), self._word())))
        return InvalidRequestError(f"{self.title} refuses the request ({about})", param=param)

    def _word(self) -> str:
        return next((code for code in self.failure.codes if _WORD.fullmatch(code) and not code.isdigit()), "")
