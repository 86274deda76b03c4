"""Which test proves that a setting of a plugin, or a hook, has an effect; see `proofs`."""

PLUGIN_PROOFS = {
    "plugins.memory.max_entries": "tests/cache/test_cache_memory.py::test_each_setting_of_the_plugin_has_an_effect",
    "plugins.memory.max_bytes": "tests/cache/test_cache_memory.py::test_each_setting_of_the_plugin_has_an_effect",
    "plugins.memory.ttl_seconds": "tests/cache/test_cache_memory.py::test_each_setting_of_the_plugin_has_an_effect",
    "plugins.tilores.schema_refresh_hours": (
        "tests/sources/test_tilores_schema_cache.py::test_period_of_the_plugin_s_own_table_goes_before_the_ttl"
    ),
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
    "llm.KeyedProviderSettings.api_key": "tests/providers/test_llm_toolkit.py::test_with_a_key_a_chat_model_is_made",
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
    "plugins.file.date_of_birth_column": "tests/sources/test_file_source.py::test_the_settings_say_what_columns_mean",
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
    "plugins.tilores.client_id": "tests/sources/test_tilores_token.py::test_what_the_token_endpoint_refuses_is_said",
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
    "plugins.tilores.exclude_fields": "tests/sources/test_tilores_source.py::test_the_id_of_a_record_is_always_read",
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
    "hook.register_cache_backends": "tests/host/test_example_package.py::test_the_example_is_found_checked_and_used",
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
    "plugins.redis.connect_timeout_ms": (
        "tests/cache/redis/test_redis_faults.py::test_reply_within_the_time_outs_of_the_settings_is_waited_for"
    ),
    "plugins.redis.command_timeout_ms": (
        "tests/cache/redis/test_redis_faults.py::test_reply_within_the_time_outs_of_the_settings_is_waited_for"
    ),
    "plugins.redis.max_connections": (
        "tests/cache/redis/test_redis_faults.py::test_a_cluster_under_more_load_than_it_has_connections"
    ),
    "llm.ProviderSettings.connect_seconds": (
        "tests/providers/test_openai_faults.py::test_call_without_a_free_connection_ends_after_the_connect_seconds"
    ),
    "llm.ProviderSettings.max_connections": (
        "tests/providers/test_openai_faults.py::test_call_without_a_free_connection_ends_after_the_connect_seconds"
    ),
    "plugins.dask.address": "tests/jobs/test_batch_executors.py::test_no_cluster_is_said_so",
    "plugins.dask.connect_seconds": "tests/jobs/test_batch_executors.py::test_no_cluster_is_said_so",
    "plugins.dask.workers": (
        "tests/jobs/test_batch_executors.py::test_local_cluster_has_the_workers_and_threads_of_the_settings"
    ),
    "plugins.dask.threads_per_worker": (
        "tests/jobs/test_batch_executors.py::test_local_cluster_has_the_workers_and_threads_of_the_settings"
    ),
    "plugins.demo-model.seed": (
        "tests/providers/test_demo_provider.py::test_outages_come_as_often_as_set_and_the_same_each_time"
    ),
    "plugins.file.format": (
        "tests/sources/test_file_source.py::test_format_and_delimiter_of_the_settings_go_before_what_is_found_out"
    ),
    "plugins.file.delimiter": (
        "tests/sources/test_file_source.py::test_format_and_delimiter_of_the_settings_go_before_what_is_found_out"
    ),
    "plugins.file.reload_seconds": "tests/sources/test_file_source.py::test_a_replaced_file_is_picked_up",
    "plugins.langsmith.tracing": (
        "tests/tracing/test_langsmith_faults.py::test_without_a_key_or_told_not_to_it_says_why"
    ),
    "plugins.langsmith.api_key": (
        "tests/tracing/test_langsmith_faults.py::test_without_a_key_or_told_not_to_it_says_why"
    ),
    "plugins.langsmith.project": (
        "tests/tracing/test_tracing_app.py::test_langchains_own_tracing_makes_no_second_tree"
    ),
    "plugins.langsmith.endpoint": (
        "tests/tracing/test_tracing_app.py::test_langchains_own_tracing_makes_no_second_tree"
    ),
    "plugins.langsmith.workspace_id": (
        "tests/tracing/test_langsmith_faults.py::test_the_workspace_goes_with_each_request"
    ),
    "plugins.langsmith.timeout_seconds": (
        "tests/tracing/test_langsmith_faults.py::test_a_fault_is_raised_in_time_and_over_when_the_service_is_well_again"
    ),
    "plugins.langsmith.max_bytes": (
        "tests/tracing/test_langsmith_faults.py::test_huge_payloads_go_in_several_requests_or_without_their_texts"
    ),
    "plugins.openai-compatible.instances.max_stops": (
        "tests/providers/test_openai_compatible.py::test_instance_that_takes_fewer_stop_strings_refuses_more"
    ),
    "plugins.openrouter.app_title": (
        "tests/providers/test_openrouter_provider.py::test_the_application_is_named_only_when_the_settings_say_so"
    ),
    "plugins.otel.endpoint": "tests/tracing/test_otel_spans.py::test_a_trace_is_one_root_with_its_steps",
    "plugins.otel.headers": "tests/tracing/test_otel_spans.py::test_resource_and_headers",
    "plugins.otel.timeout_seconds": "tests/tracing/test_otel_faults.py::test_nobody_listens",
    "plugins.telephony.public_url": (
        "tests/telephony/test_telephony_webhooks.py::test_twilios_voice_webhook_makes_the_caller_ready_and_sends_the_call_on"
    ),
    "plugins.telephony.scope": (
        "tests/telephony/test_telephony_webhooks.py::test_twilios_voice_webhook_makes_the_caller_ready_and_sends_the_call_on"
    ),
    "plugins.telephony.vapi_tolerance_seconds": "tests/telephony/test_telephony_parts.py::test_vapis_signatures",
    "plugins.telephony.vapi_assistant_id": (
        "tests/telephony/test_telephony_webhooks.py::test_vapi_gets_its_assistant_and_the_caller_is_ready"
    ),
    "plugins.threads.workers": "tests/jobs/test_batch_executors.py::test_the_pool_has_as_many_threads_as_it_is_told",
    "plugins.tilores.timeout_seconds": "tests/sources/test_tilores_limits.py::test_the_background_has_its_own_time",
    "plugins.tilores.background_timeout_seconds": (
        "tests/sources/test_tilores_limits.py::test_the_background_has_its_own_time"
    ),
    "plugins.tilores.timeout_milliseconds": (
        "tests/sources/test_tilores_fields.py::test_milliseconds_are_used_where_no_seconds_are_set"
    ),
    "plugins.tilores.max_waiting": (
        "tests/sources/test_tilores_fields.py::test_calls_beyond_those_that_may_wait_are_refused"
    ),
    "plugins.tilores.date_of_birth_format": (
        "tests/sources/test_tilores_fields.py::test_date_of_birth_is_sent_in_the_format_of_the_settings"
    ),
    "plugins.tilores.email_fields": (
        "tests/sources/test_tilores_fields.py::test_customer_whose_named_field_does_not_fit_is_not_found"
    ),
    "plugins.tilores.date_of_birth_field": (
        "tests/sources/test_tilores_fields.py::test_customer_whose_named_field_does_not_fit_is_not_found"
    ),
    "hook.register_alert_channels": "tests/alerts/test_channels.py::TestSlack::test_markup_in_a_text_is_escaped",
    "hook.register_optimizer_strategies": (
        "tests/improve/test_cycle.py::test_a_strategy_that_copies_customers_values_is_rejected_with_a_finding"
    ),
    "hook.register_deploy_targets": "tests/host/test_plugin_use.py::test_what_is_there_is_used",
    "hook.register_customer_extractors": "tests/host/test_plugin_use.py::test_what_is_there_is_used",
    "llm.ModelSettings.context_window": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "llm.ModelSettings.max_output_tokens": (
        "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken"
    ),
    "llm.ModelSettings.input_price": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "llm.ModelSettings.output_price": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "llm.ModelSettings.vision": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "llm.ModelSettings.tools": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "llm.ModelSettings.json_output": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "llm.ModelSettings.json_schema": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "llm.ModelSettings.reasoning": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "llm.ModelSettings.refuses": "tests/providers/test_llm_toolkit.py::test_every_setting_of_a_model_is_taken",
    "plugins.tilores.system_field": (
        "tests/sources/test_tilores_fields.py::test_fields_of_the_settings_go_before_guesses"
    ),
    "plugins.tilores.updated_field": (
        "tests/sources/test_tilores_fields.py::test_fields_of_the_settings_go_before_guesses"
    ),
    "plugins.tilores.name_fields": (
        "tests/sources/test_tilores_fields.py::test_fields_of_the_settings_go_before_guesses"
    ),
    "plugins.tilores.insight_fields": (
        "tests/sources/test_tilores_fields.py::test_fields_of_the_settings_go_before_guesses"
    ),
    "plugins.tilores.phone_region": (
        "tests/sources/test_tilores_fields.py::test_region_and_day_order_of_the_settings_are_the_source_s"
    ),
    "plugins.tilores.day_first": (
        "tests/sources/test_tilores_fields.py::test_region_and_day_order_of_the_settings_are_the_source_s"
    ),
    "plugins.docker.address": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.port": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.dockerfile": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.name": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.network": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.volume": "tests/deploy/test_docker_targets.py::test_each_setting_reaches_the_program",
    "plugins.docker.engine": (
        "tests/deploy/test_docker_targets.py::test_up_builds_and_runs_one_container_whose_secrets_are_not_arguments"
    ),
    "plugins.docker.keep": "tests/deploy/test_docker_targets.py::test_old_images_are_removed",
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
    "plugins.alert-file.max_bytes": "tests/alerts/test_channels.py::TestFile::test_file_that_is_full_is_begun_again",
    "plugins.alert-file.path": "tests/alerts/test_channels.py::TestFile::test_file_that_is_full_is_begun_again",
    "plugins.alertmanager.hold_hours": (
        "tests/alerts/test_channels.py::TestAlertmanager::test_open_alert_is_held_for_its_hours"
    ),
    "plugins.alertmanager.timeout_seconds": "tests/alerts/test_channels.py::HttpSuite::test_time_is_as_set",
    "plugins.alertmanager.url": (
        "tests/alerts/test_channels.py::TestAlertmanager::test_alert_and_its_end_have_the_same_labels"
    ),
    "plugins.apprise.timeout_seconds": "tests/alerts/test_channels.py::TestApprise::test_time_is_as_set",
    "plugins.apprise.urls": (
        "tests/alerts/test_channels.py::TestApprise::test_address_that_is_none_is_refused_without_being_shown"
    ),
    "plugins.email.ca_file": (
        "tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers"
    ),
    "plugins.email.host": "tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers",
    "plugins.email.password": "tests/alerts/test_channels.py::TestEmail::test_wrong_password_is_an_error_without_it",
    "plugins.email.port": "tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers",
    "plugins.email.recipients": (
        "tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers"
    ),
    "plugins.email.security": "tests/alerts/test_channels.py::TestEmail::test_without_encryption_to_this_machine",
    "plugins.email.sender": "tests/alerts/test_channels.py::TestEmail::test_message_is_encrypted_and_has_its_headers",
    "plugins.email.timeout_seconds": "tests/alerts/test_channels.py::TestEmail::test_time_is_as_set",
    "plugins.email.user": "tests/alerts/test_channels.py::TestEmail::test_wrong_password_is_an_error_without_it",
    "plugins.critique.rounds": (
        "tests/improve/test_strategies.py::TestCritique::test_fewer_rounds_and_a_narrower_beam_ask_less"
    ),
    "plugins.critique.beam": (
        "tests/improve/test_strategies.py::TestCritique::test_fewer_rounds_and_a_narrower_beam_ask_less"
    ),
    "plugins.opro.steps": "tests/improve/test_strategies.py::TestOpro::test_steps_and_proposals_bound_what_is_asked",
    "plugins.opro.proposals": (
        "tests/improve/test_strategies.py::TestOpro::test_steps_and_proposals_bound_what_is_asked"
    ),
    "plugins.bandit.instructions": (
        "tests/improve/test_strategies.py::TestBandit::test_own_instructions_and_lessons_need_no_model"
    ),
    "plugins.bandit.proposals": (
        "tests/improve/test_strategies.py::TestBandit::test_own_instructions_and_lessons_need_no_model"
    ),
    "plugins.bandit.rounds": "tests/improve/test_strategies.py::TestBandit::test_rounds_bound_what_is_tried",
    "plugins.gepa.rounds": (
        "tests/improve/test_strategies.py::TestGepa::test_rounds_minibatch_and_parts_bound_what_is_asked"
    ),
    "plugins.gepa.minibatch": (
        "tests/improve/test_strategies.py::TestGepa::test_rounds_minibatch_and_parts_bound_what_is_asked"
    ),
    "plugins.gepa.parts": (
        "tests/improve/test_strategies.py::TestGepa::test_rounds_minibatch_and_parts_bound_what_is_asked"
    ),
    "plugins.slack.timeout_seconds": "tests/alerts/test_channels.py::HttpSuite::test_time_is_as_set",
    "plugins.slack.url": "tests/alerts/test_channels.py::TestSlack::test_markup_in_a_text_is_escaped",
    "plugins.webhook.max_alerts": "tests/alerts/test_channels.py::TestWebhook::test_alerts_listed_are_as_many_as_set",
    "plugins.webhook.secret": (
        "tests/alerts/test_channels.py::TestWebhook::test_signature_is_that_of_standard_webhooks"
    ),
    "plugins.webhook.timeout_seconds": "tests/alerts/test_channels.py::HttpSuite::test_time_is_as_set",
    "plugins.webhook.url": "tests/alerts/test_channels.py::TestWebhook::test_signature_is_that_of_standard_webhooks",
}
