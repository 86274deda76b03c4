"""Which test proves that a setting or hook has an effect.

Each test of `PROOFS` failed when the setting was made to keep its default (the field of its class replaced by
a property that returns the default), sets it on a real server and counts, or registers the hook and uses what it
hands over. `TO_DO` has the settings that no such test was found for yet; it must only get shorter.
"""

PROOFS = {
    "deploy.question": "tests/deploy/test_rollout.py::test_empty_question_asks_nothing",
    "deploy.question_seconds": "tests/deploy/test_rollout.py::test_each_limit_of_a_roll_out_has_an_effect",
    "deploy.ready_seconds": "tests/deploy/test_rollout.py::test_each_limit_of_a_roll_out_has_an_effect",
    "deploy.watch_seconds": (
        "tests/deploy/test_rollout.py::test_deployment_that_does_not_work_is_taken_back_and_raises_an_alert"
    ),
    "deploy.rollback": "tests/deploy/test_rollout.py::test_rollback_setting_off_leaves_the_new_one",
    "plugins.docker.address": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.port": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.dockerfile": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.name": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.network": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.volume": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.engine": (
        "tests/deploy/test_docker_targets.py::test_up_builds_and_runs_one_container_whose_secrets_are_not_arguments"
    ),
    "plugins.docker.keep": "tests/deploy/test_docker_targets.py::test_old_images_are_removed_but_those_in_use",
    "plugins.docker.compose_file": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.build_seconds": "tests/deploy/test_docker_targets.py::test_program_that_hangs_is_ended",
    "plugins.docker.call_seconds": "tests/deploy/test_docker_targets.py::test_program_that_hangs_is_ended",
    "plugins.railway.token": "tests/deploy/test_railway_checks.py::test_fault_is_found_with_what_mends_it",
    "plugins.railway.project_id": "tests/deploy/test_railway_checks.py::test_fault_is_found_with_what_mends_it",
    "plugins.railway.environment_id": "tests/deploy/test_railway_checks.py::test_fault_is_found_with_what_mends_it",
    "plugins.railway.service_id": "tests/deploy/test_railway_checks.py::test_fault_is_found_with_what_mends_it",
    "plugins.railway.api_url": "tests/deploy/test_railway_checks.py::test_fault_is_found_with_what_mends_it",
    "plugins.railway.most_upload_bytes": (
        "tests/deploy/test_railway_checks.py::test_fault_is_found_with_what_mends_it"
    ),
    "plugins.railway.send": "tests/deploy/test_railway_checks.py::test_fault_is_found_with_what_mends_it",
    "plugins.railway.variables": (
        "tests/deploy/test_railway_target.py::test_variables_of_the_settings_win_and_send_off_leaves_the_others"
    ),
    "plugins.railway.source": "tests/deploy/test_railway_target.py::test_upload_sends_the_files_but_no_env_file",
    "plugins.railway.account_token": (
        "tests/deploy/test_railway_target.py::test_account_token_is_sent_as_such_and_needs_both_ids"
    ),
    "plugins.railway.timeout_seconds": "tests/deploy/test_railway_target.py::test_railway_that_hangs_is_given_up",
    "plugins.railway.deploy_seconds": (
        "tests/deploy/test_railway_target.py::test_railway_that_never_ends_a_deployment_is_given_up"
    ),
    "alerts.escalation.critical_minutes": ("tests/alerts/test_alerting.py::test_escalation_is_as_set"),
    "alerts.escalation.critical_times": ("tests/alerts/test_alerting.py::test_escalation_is_as_set"),
    "alerts.escalation.high_minutes": ("tests/alerts/test_alerting.py::test_escalation_is_as_set"),
    "alerts.escalation.high_times": ("tests/alerts/test_alerting.py::test_escalation_is_as_set"),
    "alerts.escalation.medium_minutes": ("tests/alerts/test_alerting.py::test_escalation_is_as_set"),
    "alerts.escalation.medium_times": ("tests/alerts/test_alerting.py::test_escalation_is_as_set"),
    "alerts.expire_hours": ("tests/alerts/test_alerting.py::test_alert_that_nobody_raises_any_more_ends"),
    "alerts.give_up_hours": ("tests/alerts/test_alerting.py::test_message_is_given_up_after_its_time"),
    "alerts.grounding_blocked": ("tests/alerts/test_conditions.py::test_answers_that_are_blocked"),
    "alerts.group_seconds": (
        "tests/alerts/test_alerting.py::test_alerts_of_one_kind_share_a_message_when_they_come_together"
    ),
    "alerts.keep_days": ("tests/alerts/test_alerting.py::test_resolved_alerts_are_removed_after_their_days"),
    "alerts.maintenance.days": ("tests/alerts/test_alerting.py::test_maintenance_window_over_midnight"),
    "alerts.maintenance.end": ("tests/alerts/test_alerting.py::test_maintenance_window_over_midnight"),
    "alerts.maintenance.kinds": ("tests/alerts/test_alerting.py::test_maintenance_window_over_midnight"),
    "alerts.maintenance.start": ("tests/alerts/test_alerting.py::test_maintenance_window_over_midnight"),
    "alerts.maintenance.zone": ("tests/alerts/test_alerting.py::test_maintenance_window_over_midnight"),
    "alerts.max_per_minute": (
        "tests/alerts/test_alerting.py::test_messages_of_a_minute_are_limited_and_the_rest_follows"
    ),
    "alerts.min_severity": ("tests/alerts/test_alerting.py::test_less_severe_alerts_are_kept_and_not_sent"),
    "alerts.repeat_minutes": (
        "tests/alerts/test_alerting.py::test_alert_raised_again_and_again_is_repeated_as_rarely_as_set"
    ),
    "alerts.routes.channels": (
        "tests/alerts/test_alerting.py::test_routes_choose_channels_by_severity_kind_source_and_spectrum"
    ),
    "alerts.routes.kinds": (
        "tests/alerts/test_alerting.py::test_routes_choose_channels_by_severity_kind_source_and_spectrum"
    ),
    "alerts.routes.severities": (
        "tests/alerts/test_alerting.py::test_routes_choose_channels_by_severity_kind_source_and_spectrum"
    ),
    "alerts.routes.sources": (
        "tests/alerts/test_alerting.py::test_routes_choose_channels_by_severity_kind_source_and_spectrum"
    ),
    "alerts.routes.spectrums": (
        "tests/alerts/test_alerting.py::test_routes_choose_channels_by_severity_kind_source_and_spectrum"
    ),
    "alerts.send_seconds": ("tests/alerts/test_alerting.py::test_hanging_channel_is_given_its_time"),
    "hook.register_alert_channels": ("tests/alerts/test_channels.py::TestSlack::test_markup_in_a_text_is_escaped"),
    "plugins.alert-file.max_bytes": (
        "tests/alerts/test_channels.py::TestFile::test_file_that_is_full_is_begun_again"
    ),
    "plugins.alert-file.path": ("tests/alerts/test_channels.py::TestFile::test_file_that_is_full_is_begun_again"),
    "plugins.alertmanager.hold_hours": (
        "tests/alerts/test_channels.py::TestAlertmanager::test_open_alert_is_held_for_its_hours"
    ),
    "plugins.alertmanager.timeout_seconds": ("tests/alerts/test_channels.py::HttpSuite::test_time_is_as_set"),
    "plugins.alertmanager.url": (
        "tests/alerts/test_channels.py::TestAlertmanager::test_alert_and_its_end_have_the_same_labels"
    ),
    "plugins.apprise.timeout_seconds": ("tests/alerts/test_channels.py::TestApprise::test_time_is_as_set"),
    "plugins.apprise.urls": (
        "tests/alerts/test_channels.py::TestApprise::test_address_that_is_none_is_refused_without_being_shown"
    ),
    "plugins.email.ca_file": (
        "tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers"
    ),
    "plugins.email.host": ("tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers"),
    "plugins.email.password": (
        "tests/alerts/test_channels.py::TestEmail::test_wrong_password_is_an_error_without_it"
    ),
    "plugins.email.port": ("tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers"),
    "plugins.email.recipients": (
        "tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers"
    ),
    "plugins.email.security": ("tests/alerts/test_channels.py::TestEmail::test_without_encryption_to_this_machine"),
    "plugins.email.sender": (
        "tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers"
    ),
    "plugins.email.timeout_seconds": ("tests/alerts/test_channels.py::TestEmail::test_time_is_as_set"),
    "plugins.email.user": ("tests/alerts/test_channels.py::TestEmail::test_wrong_password_is_an_error_without_it"),
    "plugins.slack.timeout_seconds": ("tests/alerts/test_channels.py::HttpSuite::test_time_is_as_set"),
    "plugins.slack.url": ("tests/alerts/test_channels.py::TestSlack::test_markup_in_a_text_is_escaped"),
    "plugins.webhook.max_alerts": (
        "tests/alerts/test_channels.py::TestWebhook::test_alerts_listed_are_as_many_as_set"
    ),
    "plugins.webhook.secret": (
        "tests/alerts/test_channels.py::TestWebhook::test_signature_is_that_of_standard_webhooks"
    ),
    "plugins.webhook.timeout_seconds": ("tests/alerts/test_channels.py::HttpSuite::test_time_is_as_set"),
    "plugins.webhook.url": (
        "tests/alerts/test_channels.py::TestWebhook::test_signature_is_that_of_standard_webhooks"
    ),
    "prompts.allowed": "tests/release/test_prompt_checks.py::test_texts_of_allowed_are_not_personal_data",
    "prompts.golden_customers": (
        "tests/release/test_prompt_golden.py::test_golden_customers_of_the_settings_are_a_set_of_their_own"
    ),
    "prompts.max_tokens": (
        "tests/release/test_prompt_checks.py::test_prompt_longer_than_max_tokens_is_refused_with_the_longest_guidance"
    ),
    "prompts.min_score": "tests/release/test_prompt_checks.py::test_lowest_score_is_a_setting",
    "environment.TILORES_RATE_LIMIT": (
        "tests/web/test_rate_limit.py::test_rate_limit_of_a_key_holds_over_all_processes"
    ),
    "chat.failed_authentications": (
        "tests/web/test_rate_limit.py::test_guessing_is_limited_by_address_over_all_processes"
    ),
    "environment.TILORES_SECRET_KEY": (
        "tests/host/test_plugin_cache.py::test_plugin_s_cache_pickles_only_with_the_secret_key"
    ),
    "environment.DATABASE_URL": "tests/store/test_store_address.py::test_the_variable",
    "environment.TILORES_PLUGINS_DISABLE": "tests/host/test_plugin_plan.py::test_who_has_the_last_word",
    "environment.TILORES_PLUGINS_ONLY": "tests/host/test_plugin_plan.py::test_who_has_the_last_word",
    "host.autoload": "tests/host/test_plugin_plan.py::test_who_has_the_last_word",
    "host.strict": "tests/host/test_plugin_use.py::test_strict_stops_on_any_problem",
    "use.cache": "tests/host/test_plugin_use.py::test_every_key_of_use_is_checked",
    "use.source": "tests/host/test_plugin_use.py::test_every_key_of_use_is_checked",
    "use.model": "tests/host/test_plugin_use.py::test_every_key_of_use_is_checked",
    "use.fallbacks": (
        "tests/host/test_plugin_use.py::test_the_default_models_provider_must_work_and_a_fallbacks_need_not"
    ),
    "use.optimizer": "tests/host/test_plugin_use.py::test_every_key_of_use_is_checked",
    "use.deploy": "tests/host/test_plugin_use.py::test_every_key_of_use_is_checked",
    "use.executor": "tests/host/test_plugin_use.py::test_every_key_of_use_is_checked",
    "use.extractor": "tests/host/test_plugin_use.py::test_every_key_of_use_is_checked",
    "use.tracers": "tests/host/test_plugin_use.py::test_every_key_of_use_is_checked",
    "use.alerts": "tests/host/test_plugin_use.py::test_what_is_there_is_used",
    "chat.max_concurrent": (
        "tests/chat/test_engine_flight.py::test_a_caller_who_joins_what_was_begun_behind_the_scenes_goes_first"
    ),
    "chat.spectrum_files": (
        "tests/spectrums/test_spectrum_files.py::test_spectrum_files_of_the_settings_are_used_by_the_server"
    ),
    "chat.grounding": "tests/chat/test_context_fitting.py::test_settings_that_change_what_is_told_change_the_key",
    "chat.records_share": (
        "tests/chat/test_context_fitting.py::test_settings_that_change_what_is_told_change_the_key"
    ),
    "chat.default_context_window": (
        "tests/chat/test_context_fitting.py::test_settings_that_change_what_is_told_change_the_key"
    ),
    "chat.mode": "tests/chat/test_tools_bounds.py::test_a_source_that_cannot_make_its_tools",
    "chat.without_customer": (
        "tests/chat/test_engine_without_customer.py::test_setting_decides_what_answers_without_a_customer"
    ),
    "chat.max_tool_turns": "tests/chat/test_tools_engine.py::test_a_call_when_none_is_offered_is_left_out",
    "chat.max_tool_calls": "tests/chat/test_tools_engine.py::test_calls_are_made_side_by_side_and_only_so_many",
    "chat.tool_result_characters": "tests/chat/test_tools_engine.py::test_results_are_held_to_their_length",
    "routing.max_concurrent": (
        "tests/chat/test_engine_flight.py::test_a_caller_who_joins_what_was_begun_behind_the_scenes_goes_first"
    ),
    "routing.concurrent": "tests/chat/test_routing_turns.py::test_names_in_the_settings_are_checked",
    "routing.on_stream_failure": "tests/chat/test_routing_turns.py::test_buffered_until_it_is_whole",
    "routing.context_windows": "tests/chat/test_routing_turns.py::test_windows_from_the_settings",
    "cache.answers.ttl_seconds": ("tests/chat/test_engine_cache.py::test_answer_lives_for_the_ttl_of_answers"),
    "cache.answers.stale_seconds": (
        "tests/chat/test_engine_cache.py::test_answer_is_served_stale_for_the_stale_seconds_of_answers"
    ),
    "cache.answers.negative_ttl_seconds": (
        "tests/chat/test_engine_cache.py::test_question_that_no_customer_fits_is_kept_for_the_negative_ttl_of_answers"
    ),
    "cache.customers.ttl_seconds": (
        "tests/chat/test_engine_cache.py::test_source_is_asked_again_after_the_ttl_of_customers"
    ),
    "cache.schemas.ttl_seconds": (
        "tests/host/test_plugin_cache.py::test_plugin_s_values_live_as_long_as_the_namespace_s_settings_say"
    ),
    "cache.lease_seconds": (
        "tests/cache/test_cache_fetch.py::test_lease_outlives_its_holder_by_the_lease_seconds_of_the_settings"
    ),
    "cache.tier_timeout_seconds": (
        "tests/cache/test_cache_fetch.py::test_hanging_tier_costs_the_tier_timeout_of_the_settings"
    ),
    "plugins.memory.max_entries": ("tests/cache/test_cache_memory.py::test_each_setting_of_the_plugin_has_an_effect"),
    "plugins.memory.max_bytes": ("tests/cache/test_cache_memory.py::test_each_setting_of_the_plugin_has_an_effect"),
    "plugins.memory.ttl_seconds": ("tests/cache/test_cache_memory.py::test_each_setting_of_the_plugin_has_an_effect"),
    "plugins.tilores.schema_refresh_hours": (
        "tests/sources/test_tilores_schema_cache.py::test_period_of_the_plugin_s_own_table_goes_before_the_ttl"
    ),
    "cache.customers.negative_ttl_seconds": "tests/cache/test_cache_fetch.py::test_nothing_is_kept_briefly",
    "cache.schemas.negative_ttl_seconds": (
        "tests/cache/test_cache_namespace.py::test_nothing_is_kept_for_the_negative_ttl_of_the_settings"
    ),
    "cache.schemas.stale_seconds": (
        "tests/cache/test_cache_namespace.py::test_expired_value_is_served_while_loading_fails_for_stale_seconds"
    ),
    "cache.spectrums": "tests/chat/test_engine_cache.py::test_a_spectrum_may_live_shorter_or_longer",
    "cache.jitter": "tests/cache/test_cache_tiered.py::test_jitter_shortens_the_life",
    "cache.single_flight_replicas": "tests/cache/test_cache_fetch.py::test_a_holder_at_work_keeps_its_lease",
    "tracing.send_seconds": "tests/tracing/test_otel_faults.py::test_what_cannot_be_sent_is_dropped_and_counted",
    "plugins.*.enabled": "tests/host/test_plugin_plan.py::test_a_disabled_plugin_is_never_imported",
    "plugins.*.order": "tests/host/test_plugin_plan.py::test_operators_order_decides_then_ids",
    "plugins.*.required": (
        "tests/host/test_plugin_use.py::test_a_required_plugin_must_work_even_when_nothing_names_it"
    ),
    "plugins.redis.url": "tests/cache/redis/test_redis_build.py::test_what_a_cluster_cannot_be",
    "plugins.redis.ttl_seconds": (
        "tests/cache/redis/test_redis_entries.py::test_the_longest_life_is_the_tiers_and_the_end_stays_as_given"
    ),
    "plugins.redis.key_prefix": "tests/cache/redis/test_redis_broadcast.py::test_prefixes_are_apart",
    "plugins.redis.max_value_bytes": "tests/cache/redis/test_redis_entries.py::test_a_message_too_long_is_refused",
    "plugins.redis.cluster": "tests/cache/redis/test_redis_build.py::test_a_cluster_needs_an_address",
    "plugins.redis.embedded": "tests/cache/redis/test_redis_build.py::test_no_address_and_no_embedded_server",
    "llm.ProviderSettings.base_url": "tests/providers/test_llm_toolkit.py::test_a_base_url_is_an_address",
    "llm.ProviderSettings.only": (
        "tests/providers/test_openai_provider.py::test_settings_add_correct_and_limit_models"
    ),
    "llm.ProviderSettings.timeout_seconds": (
        "tests/providers/test_google_provider.py::test_silence_within_an_answer_ends_it"
    ),
    "llm.KeyedProviderSettings.api_key": (
        "tests/providers/test_llm_toolkit.py::test_with_a_key_a_chat_model_is_made"
    ),
    "plugins.anthropic.max_tokens": "tests/providers/test_anthropic_provider.py::test_max_tokens_is_always_said",
    "plugins.anthropic.cache_prompt": (
        "tests/providers/test_anthropic_provider.py::test_the_system_prompt_is_marked_only_when_switched_on"
    ),
    "plugins.demo-model.latency_ms": (
        "tests/providers/test_demo_provider.py::test_cancelling_stops_a_slow_call_at_once"
    ),
    "plugins.demo-model.tokens_per_second": (
        "tests/providers/test_demo_provider.py::test_cancelling_stops_a_slow_stream_after_the_first_piece"
    ),
    "plugins.demo-model.failure_rate": (
        "tests/providers/test_demo_provider.py::test_an_outage_of_a_stream_comes_before_its_first_piece"
    ),
    "plugins.file.path": "tests/sources/test_file_source.py::test_a_file_that_vanishes_before_the_first_look_up",
    "plugins.file.id_column": (
        "tests/sources/test_file_columns.py::test_two_id_columns_that_group_differently_are_a_question"
    ),
    "plugins.file.record_id_column": "tests/sources/test_file_source.py::test_the_settings_say_what_columns_mean",
    "plugins.file.system_column": "tests/sources/test_file_source.py::test_the_settings_say_what_columns_mean",
    "plugins.file.updated_column": "tests/sources/test_file_source.py::test_the_settings_say_what_columns_mean",
    "plugins.file.name_columns": "tests/sources/test_file_source.py::test_the_settings_say_what_columns_mean",
    "plugins.file.email_columns": "tests/sources/test_file_source.py::test_lists_of_contacts",
    "plugins.file.phone_columns": "tests/sources/test_file_source.py::test_the_settings_say_what_columns_mean",
    "plugins.file.date_of_birth_column": (
        "tests/sources/test_file_source.py::test_the_settings_say_what_columns_mean"
    ),
    "plugins.file.trait_columns": "tests/sources/test_file_source.py::test_the_settings_say_what_columns_mean",
    "plugins.file.encoding": "tests/sources/test_file_source.py::test_other_encodings",
    "plugins.file.phone_region": (
        "tests/sources/test_file_dates.py::test_undecidable_column_goes_by_the_region_and_warns"
    ),
    "plugins.file.day_first": (
        "tests/sources/test_file_dates.py::test_day_first_setting_decides_and_contradictions_are_reported"
    ),
    "plugins.file.max_records_per_customer": (
        "tests/sources/test_file_columns.py::test_customer_with_too_many_rows_keeps_the_newest_and_is_reported"
    ),
    "plugins.file.max_candidates": (
        "tests/sources/test_file_columns.py::test_look_up_that_would_read_too_many_is_refused"
    ),
    "plugins.ollama.keep_alive": (
        "tests/providers/test_ollama_provider.py::test_parameters_arrive_under_the_names_of_the_protocol"
    ),
    "plugins.openrouter.app_url": (
        "tests/providers/test_openrouter_provider.py::test_the_application_is_named_only_when_the_settings_say_so"
    ),
    "plugins.otel.traces_endpoint": "tests/tracing/test_otel_spans.py::test_the_whole_address_is_used_as_it_is",
    "plugins.otel.service_name": "tests/tracing/test_otel_spans.py::test_resource_and_headers",
    "plugins.otel.resource_attributes": "tests/tracing/test_otel_spans.py::test_resource_and_headers",
    "plugins.otel.compression": "tests/tracing/test_otel_spans.py::test_resource_and_headers",
    "plugins.otel.certificate": "tests/tracing/test_otel_spans.py::test_a_certificate_that_is_not_there",
    "plugins.otel.max_bytes": "tests/tracing/test_otel_faults.py::test_a_trace_too_large_goes_without_its_texts",
    "plugins.telephony.twilio_auth_token": "tests/telephony/test_telephony_parts.py::test_wrong_settings",
    "plugins.telephony.twilio_next_url": "tests/telephony/test_telephony_parts.py::test_wrong_settings",
    "plugins.telephony.twilio_twiml": "tests/telephony/test_telephony_parts.py::test_wrong_settings",
    "plugins.telephony.vapi_secret": "tests/telephony/test_telephony_parts.py::test_wrong_settings",
    "plugins.telephony.vapi_hmac_key": "tests/telephony/test_telephony_parts.py::test_wrong_settings",
    "plugins.telephony.vapi_hmac_algorithm": "tests/telephony/test_telephony_parts.py::test_vapis_signatures",
    "plugins.telephony.vapi_signature_header": "tests/telephony/test_telephony_parts.py::test_vapis_signatures",
    "plugins.telephony.vapi_signature_prefix": "tests/telephony/test_telephony_parts.py::test_vapis_signatures",
    "plugins.telephony.vapi_timestamp_header": "tests/telephony/test_telephony_parts.py::test_vapis_signatures",
    "plugins.telephony.vapi_refusal": (
        "tests/telephony/test_telephony_parts.py::test_vapi_without_an_assistant_hears_why"
    ),
    "plugins.tilores.api_url": "tests/sources/test_tilores_errors.py::test_nobody_listens",
    "plugins.tilores.token_url": "tests/sources/test_tilores_token.py::test_the_token_address_may_be_wrong",
    "plugins.tilores.client_id": (
        "tests/sources/test_tilores_token.py::test_what_the_token_endpoint_refuses_is_said"
    ),
    "plugins.tilores.client_secret": (
        "tests/sources/test_tilores_token.py::test_what_the_token_endpoint_refuses_is_said"
    ),
    "plugins.tilores.scope": "tests/sources/test_tilores_token.py::test_without_a_scope_all_are_had",
    "plugins.tilores.soft_timeout_seconds": (
        "tests/sources/test_tilores_errors.py::test_when_time_presses_few_records_are_asked_for_at_once"
    ),
    "plugins.tilores.parameters": "tests/sources/test_tilores_search.py::test_settings_say_what_a_guess_would_not",
    "plugins.tilores.fixed_parameters": (
        "tests/sources/test_tilores_search.py::test_settings_say_what_a_guess_would_not"
    ),
    "plugins.tilores.include_fields": "tests/sources/test_tilores_source.py::test_what_is_read_can_be_narrowed",
    "plugins.tilores.exclude_fields": (
        "tests/sources/test_tilores_source.py::test_the_id_of_a_record_is_always_read"
    ),
    "plugins.tilores.max_fields": "tests/sources/test_tilores_source.py::test_what_is_read_can_be_narrowed",
    "plugins.tilores.max_depth": "tests/sources/test_tilores_source.py::test_what_is_read_can_be_narrowed",
    "plugins.tilores.phone_fields": (
        "tests/sources/test_tilores_search.py::test_settings_that_the_instance_cannot_meet_are_said"
    ),
    "plugins.tilores.trait_fields": "tests/sources/test_tilores_source.py::test_what_is_read_can_be_narrowed",
    "plugins.tilores.page_size": "tests/sources/test_tilores_plugin.py::test_pages_are_powers_of_two",
    "plugins.tilores.insights": "tests/sources/test_tilores_source.py::test_insights_can_be_switched_off",
    "plugins.tilores.max_in_flight": (
        "tests/sources/test_tilores_limits.py::test_the_background_does_not_hold_up_live_calls"
    ),
    "plugins.tilores.background_share": (
        "tests/sources/test_tilores_limits.py::test_the_background_does_not_hold_up_live_calls"
    ),
    "hook.register_cache_backends": (
        "tests/host/test_example_package.py::test_the_example_is_found_checked_and_used"
    ),
    "hook.register_llm_providers": "tests/host/test_role_examples.py::TestProvider",
    "hook.register_customer_sources": "tests/host/test_role_examples.py::TestSource",
    "hook.register_tracers": "tests/host/test_role_examples.py::test_tracer_example_writes_a_line_per_trace",
    "hook.register_observers": (
        "tests/host/test_role_examples.py::test_observer_example_counts_turns_and_shares_them_with_its_health_check"
    ),
    "hook.register_executors": (
        "tests/host/test_role_examples.py::test_executor_example_is_a_pool_and_closed_with_the_host"
    ),
    "hook.register_routers": (
        "tests/host/test_role_examples.py::test_router_example_asks_behind_the_chat_key_and_keeps_settings_for_administrators"
    ),
    "hook.register_commands": "tests/host/test_role_examples.py::test_command_example_prints_the_data_folder",
    "hook.register_health_checks": (
        "tests/host/test_role_examples.py::test_observer_example_counts_turns_and_shares_them_with_its_health_check"
    ),
}

TO_DO = frozenset(
    {
        "environment.PORT",
        "environment.TILORES_HOST",
        "environment.TILORES_WORKERS",
        "environment.TILORES_CONFIG",
        "environment.TILORES_DATA_DIR",
        "environment.TILORES_API_KEYS",
        "environment.TILORES_ADMIN_KEYS",
        "environment.TILORES_ALLOW_ANONYMOUS",
        "environment.TILORES_LOG_LEVEL",
        "environment.TILORES_LOG_FORMAT",
        "schema",
        "keys.scope",
        "keys.search",
        "chat.phone_region",
        "chat.day_first",
        "chat.max_messages",
        "chat.max_characters",
        "chat.max_body_bytes",
        "chat.max_batch",
        "chat.deadline_seconds",
        "chat.source_seconds",
        "chat.drain_seconds",
        "chat.shutdown_seconds",
        "chat.cors_origins",
        "chat.log_hits_every",
        "chat.tool_preamble_characters",
        "routing.first_token_seconds",
        "routing.stall_seconds",
        "routing.attempts",
        "routing.backoff_seconds",
        "routing.retry_after_seconds",
        "routing.breaker_failures",
        "routing.breaker_seconds",
        "routing.max_waiting",
        "routing.hedge",
        "routing.sentence_characters",
        "routing.filler",
        "routing.filler_seconds",
        "cache.customers.stale_seconds",
        "tracing.capture",
        "tracing.sample",
        "tracing.sample_hits",
        "tracing.max_waiting",
        "tracing.max_batch",
        "tracing.schedule_delay_seconds",
        "tracing.flush_seconds",
        "tracing.max_characters",
        "metrics.enabled",
        "metrics.max_models",
        "prewarm.file",
        "prewarm.at_start",
        "batch.max_body_bytes",
        "batch.max_jobs",
        "batch.keep_hours",
        "worker.embedded",
        "worker.nice",
        "plugins.redis.connect_timeout_ms",
        "plugins.redis.command_timeout_ms",
        "plugins.redis.max_connections",
        "llm.ModelSettings.context_window",
        "llm.ModelSettings.max_output_tokens",
        "llm.ModelSettings.input_price",
        "llm.ModelSettings.output_price",
        "llm.ModelSettings.vision",
        "llm.ModelSettings.tools",
        "llm.ModelSettings.json_output",
        "llm.ModelSettings.json_schema",
        "llm.ModelSettings.reasoning",
        "llm.ModelSettings.refuses",
        "llm.ProviderSettings.connect_seconds",
        "llm.ProviderSettings.max_connections",
        "plugins.dask.address",
        "plugins.dask.workers",
        "plugins.dask.threads_per_worker",
        "plugins.dask.connect_seconds",
        "plugins.demo-model.seed",
        "plugins.file.format",
        "plugins.file.delimiter",
        "plugins.file.reload_seconds",
        "plugins.langsmith.tracing",
        "plugins.langsmith.api_key",
        "plugins.langsmith.project",
        "plugins.langsmith.endpoint",
        "plugins.langsmith.timeout_seconds",
        "plugins.langsmith.max_bytes",
        "plugins.openai-compatible.instances.max_stops",
        "plugins.openrouter.app_title",
        "plugins.otel.endpoint",
        "plugins.otel.headers",
        "plugins.otel.timeout_seconds",
        "plugins.telephony.public_url",
        "plugins.telephony.scope",
        "plugins.telephony.vapi_tolerance_seconds",
        "plugins.telephony.vapi_assistant_id",
        "plugins.threads.workers",
        "plugins.tilores.timeout_seconds",
        "plugins.tilores.timeout_milliseconds",
        "plugins.tilores.background_timeout_seconds",
        "plugins.tilores.date_of_birth_format",
        "plugins.tilores.system_field",
        "plugins.tilores.updated_field",
        "plugins.tilores.name_fields",
        "plugins.tilores.email_fields",
        "plugins.tilores.date_of_birth_field",
        "plugins.tilores.phone_region",
        "plugins.tilores.day_first",
        "plugins.tilores.insight_fields",
        "plugins.tilores.max_waiting",
        "hook.register_optimizer_strategies",
        "hook.register_deploy_targets",
        "hook.register_customer_extractors",
    }
)
