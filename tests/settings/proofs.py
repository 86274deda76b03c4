"""Which test proves that a setting or hook has an effect.

Each test of `PROOFS` failed when the setting was made to keep its default (the field of its class replaced by
a property that returns the default), sets it on a real server and counts, or registers the hook and uses what it
hands over.
"""

from tests.settings.plugin_proofs import PLUGIN_PROOFS

_ROLLOUT = "tests/improve/test_cycle.py::test_cycle_ends_with_its_roll_out_which_takes_each_step_without_blocking_it"

PROOFS = {
    **dict.fromkeys((f"improve.rollout_{name}" for name in ("hours", "step_hours", "risk", "scores")), _ROLLOUT),
    "healing.mode": (
        "tests/improve/test_healing.py::test_nothing_is_done_in_a_dry_run_over_the_limit_or_while_paused"
    ),
    "healing.actions_per_day": (
        "tests/improve/test_healing.py::test_nothing_is_done_in_a_dry_run_over_the_limit_or_while_paused"
    ),
    "healing.fail_over_minutes": "tests/improve/test_healing.py::test_settings_bound_how_long_and_how_often",
    "healing.cooldown_minutes": "tests/improve/test_healing.py::test_settings_bound_how_long_and_how_often",
    "healing.verify_answers": "tests/improve/test_healing.py::test_settings_bound_how_long_and_how_often",
    "healing.verify_hours": "tests/improve/test_healing.py::test_settings_bound_how_long_and_how_often",
    "improve.spectrums_at_once": (
        "tests/improve/test_orchestrator.py::test_breaches_trigger_one_cycle_for_at_most_three_spectrums"
    ),
    "improve.cooldown_hours": (
        "tests/improve/test_orchestrator.py::test_spectrum_rests_after_a_cycle_and_comes_again_while_it_is_breached"
    ),
    "improve.cycles_per_day": (
        "tests/improve/test_orchestrator.py::test_no_more_cycles_in_a_day_than_the_setting_says"
    ),
    "improve.triggered": "tests/improve/test_triggered.py::test_worker_runs_a_cycle_only_where_it_is_switched_on",
    "improve.models": "tests/improve/test_cycle.py::test_settings_reach_a_cycle",
    "improve.per_spectrum": "tests/improve/test_cycle.py::test_settings_reach_a_cycle",
    "improve.min_gain": "tests/improve/test_cycle.py::test_settings_reach_a_cycle",
    "improve.confidence": "tests/improve/test_cycle.py::test_settings_reach_a_cycle",
    "improve.auto_confidence": "tests/improve/test_cycle.py::test_settings_reach_a_cycle",
    "improve.automatic": "tests/improve/test_cycle.py::test_settings_reach_a_cycle",
    "improve.max_dollars": "tests/improve/test_cycle.py::test_settings_reach_a_cycle",
    "improve.max_calls": "tests/improve/test_cycle.py::test_budgets_are_kept",
    "improve.max_tokens": "tests/improve/test_cycle.py::test_tokens_and_time_end_a_cycle",
    "improve.max_seconds": "tests/improve/test_cycle.py::test_tokens_and_time_end_a_cycle",
    "improve.reflection_model": (
        "tests/improve/test_cycle.py::test_a_reflection_model_is_asked_without_customers_values"
    ),
    "experiments.holdout": (
        "tests/release/test_experiment_analysis.py::test_holdout_and_slices_of_experiments_never_overlap"
    ),
    "experiments.look_seconds": (
        "tests/release/test_release_worker.py::test_worker_looks_as_often_as_the_setting_says"
    ),
    "monitor.roll_back": "tests/release/test_experiments.py::test_change_that_is_not_a_regression_stays",
    "monitor.watch_hours": "tests/release/test_experiments.py::test_change_that_is_not_a_regression_stays",
    "monitor.tolerance": "tests/release/test_experiments.py::test_change_that_is_not_a_regression_stays",
    "prompts.allowed": "tests/release/test_prompt_checks.py::test_texts_of_allowed_are_not_personal_data",
    "prompts.golden_customers": (
        "tests/release/test_prompt_golden.py::test_golden_customers_of_the_settings_are_a_set_of_their_own"
    ),
    "prompts.max_tokens": (
        "tests/release/test_prompt_checks.py::test_prompt_longer_than_max_tokens_is_refused_with_the_longest_guidance"
    ),
    "prompts.min_score": "tests/release/test_prompt_checks.py::test_lowest_score_is_a_setting",
    "environment.TILORES_DEPLOYMENT": "tests/deploy/test_rollout.py::test_name_of_a_deployment_tells_versions_apart",
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
    "quality.live_cpu_percent": "tests/quality/test_live_quality.py::test_share_of_zero_switches_live_quality_off",
    "quality.excellent": "tests/quality/test_quality_thresholds.py::test_overview_says_how_each_cell_does",
    "quality.target": "tests/quality/test_quality_thresholds.py::test_levels_of_the_settings_decide",
    "quality.warning": "tests/quality/test_quality_thresholds.py::test_levels_of_the_settings_decide",
    "quality.critical": "tests/quality/test_quality_thresholds.py::test_levels_of_the_settings_decide",
    "quality.collect_questions": (
        "tests/quality/test_collected_questions.py::test_rated_questions_become_golden_ones_and_hold_no_value_before"
    ),
    "quality.keep_days": "tests/quality/test_quality_thresholds.py::test_run_forgets_what_is_too_old_under_the_lease",
    "chat.grounding": "tests/chat/test_context_fitting.py::test_settings_that_change_what_is_told_change_the_key",
    "chat.records_share": "tests/chat/test_context_fitting.py::test_settings_that_change_what_is_told_change_the_key",
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
    "cache.answers.ttl_seconds": "tests/chat/test_engine_cache.py::test_answer_lives_for_the_ttl_of_answers",
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
    "environment.PORT": "tests/cli/test_cli_serve.py::test_a_port_in_use",
    "environment.TILORES_HOST": (
        "tests/e2e/test_e2e_keys.py::test_beyond_loopback_administration_takes_the_generated_key"
    ),
    "environment.TILORES_WORKERS": (
        "tests/e2e/test_e2e_ending.py::test_workers_share_the_work_and_one_that_dies_is_replaced"
    ),
    "environment.TILORES_CONFIG": "tests/host/test_plugins_command.py::test_list_honours_the_variables",
    "environment.TILORES_DATA_DIR": (
        "tests/web/test_generated_keys.py::test_command_line_uses_the_generated_key_by_itself"
    ),
    "environment.TILORES_API_KEYS": (
        "tests/e2e/test_e2e_keys.py::test_without_the_right_key_each_protocol_says_so_its_own_way"
    ),
    "environment.TILORES_ADMIN_KEYS": "tests/e2e/test_e2e_keys.py::test_admin_keys_are_apart",
    "environment.TILORES_ALLOW_ANONYMOUS": (
        "tests/web/test_generated_keys.py::test_chat_of_the_users_own_customers_is_open_where_anonymous_is_allowed"
    ),
    "environment.TILORES_LOG_LEVEL": (
        "tests/settings/test_settings_effects.py::test_log_starts_at_the_level_of_the_environment"
    ),
    "environment.TILORES_LOG_FORMAT": (
        "tests/settings/test_settings_effects.py::test_log_starts_at_the_level_of_the_environment"
    ),
    "schema": "tests/host/test_config_file.py::test_a_mistake_is_told_with_file_key_and_what_would_be_right",
    "keys.scope": "tests/e2e/test_e2e_keys.py::test_scopes_do_not_share_answers",
    "keys.search": "tests/e2e/test_e2e_keys.py::test_a_key_without_search_has_to_name_the_customer",
    "chat.phone_region": (
        "tests/jobs/test_batch_locale.py::test_locale_is_that_of_chat_then_of_the_source_then_by_region"
    ),
    "chat.day_first": (
        "tests/jobs/test_batch_locale.py::test_locale_is_that_of_chat_then_of_the_source_then_by_region"
    ),
    "chat.max_messages": "tests/e2e/test_e2e_limits.py::test_messages_and_characters",
    "chat.max_characters": "tests/e2e/test_e2e_limits.py::test_messages_and_characters",
    "chat.max_body_bytes": "tests/e2e/test_e2e_limits.py::test_body",
    "chat.max_batch": "tests/e2e/test_e2e_limits.py::test_batch",
    "chat.deadline_seconds": "tests/e2e/test_e2e_limits.py::test_deadline",
    "chat.source_seconds": (
        "tests/settings/test_settings_effects.py::test_source_that_hangs_is_given_up_after_the_source_seconds"
    ),
    "chat.drain_seconds": (
        "tests/e2e/test_e2e_ending.py::test_readiness_fails_first_and_the_second_signal_ends_at_once"
    ),
    "chat.shutdown_seconds": "tests/e2e/test_e2e_ending.py::test_what_is_not_finished_in_time_ends_with_an_error",
    "chat.cors_origins": "tests/e2e/test_e2e_http.py::test_replies_and_errors_carry_cors_headers",
    "chat.log_hits_every": "tests/e2e/test_e2e_log.py::test_of_known_answers_some_have_a_line",
    "chat.tool_preamble_characters": (
        "tests/chat/test_tools_engine.py::test_a_long_text_before_a_call_stays_part_of_the_answer"
    ),
    "routing.first_token_seconds": "tests/chat/test_routing_turns.py::test_the_turns_end_is_the_end",
    "routing.stall_seconds": (
        "tests/chat/test_routing_turns.py::test_pause_within_an_answer_ends_the_call_after_the_stall_seconds"
    ),
    "routing.attempts": "tests/chat/test_engine_fallback.py::test_the_chain_is_tried_in_order",
    "routing.backoff_seconds": (
        "tests/chat/test_routing_turns.py::test_pause_before_a_failed_call_is_retried_is_that_of_the_settings"
    ),
    "routing.retry_after_seconds": (
        "tests/chat/test_routing_turns.py::test_wait_that_a_provider_asks_for_is_kept_up_to_the_settings"
    ),
    "routing.breaker_failures": "tests/chat/test_routing_parts.py::test_one_call_tries_a_model_that_failed",
    "routing.breaker_seconds": "tests/chat/test_routing_parts.py::test_one_call_tries_a_model_that_failed",
    "routing.max_waiting": "tests/chat/test_routing_turns.py::test_full_without_another_model",
    "routing.hedge": "tests/chat/test_routing_turns.py::test_a_late_first_token_brings_a_second_call",
    "routing.sentence_characters": (
        "tests/chat/test_failover_midway.py::test_continued_sentence_is_held_back_up_to_the_characters_of_the_settings"
    ),
    "routing.filler": "tests/chat/test_routing_turns.py::test_a_filler_is_said_and_not_kept",
    "routing.filler_seconds": "tests/chat/test_routing_turns.py::test_a_filler_is_said_and_not_kept",
    "tracing.capture": "tests/tracing/test_tracing_app.py::test_redacted_keeps_the_words_and_masks_the_customer",
    "tracing.sample": "tests/tracing/test_tracing_turns.py::test_shares",
    "tracing.sample_hits": "tests/tracing/test_tracing_app.py::test_cached_answers_are_traced_by_their_own_share",
    "tracing.max_waiting": "tests/tracing/test_tracing_turns.py::test_turns_beyond_the_queue_are_counted",
    "tracing.max_batch": "tests/tracing/test_tracer_queue.py::test_batches_are_full_when_they_can_be_and_in_order",
    "tracing.schedule_delay_seconds": "tests/tracing/test_otel_app.py::test_three_tracers_of_a_real_server",
    "tracing.flush_seconds": (
        "tests/tracing/test_tracing_turns.py::test_end_waits_no_longer_for_a_tracer_than_the_flush_seconds"
    ),
    "tracing.max_characters": (
        "tests/tracing/test_tracing_app.py::test_full_says_everything_and_cuts_what_is_too_long"
    ),
    "metrics.enabled": "tests/metrics/test_metrics_server.py::test_it_can_be_switched_off",
    "metrics.max_models": "tests/settings/test_settings_effects.py::test_models_beyond_the_most_have_one_label",
    "prewarm.file": (
        "tests/settings/test_settings_effects.py::test_list_is_warmed_at_start_only_where_the_settings_say_so"
    ),
    "prewarm.at_start": (
        "tests/settings/test_settings_effects.py::test_list_is_warmed_at_start_only_where_the_settings_say_so"
    ),
    "batch.max_body_bytes": "tests/e2e/test_e2e_batch.py::test_limits_and_cancelling",
    "batch.max_jobs": "tests/e2e/test_e2e_batch.py::test_limits_and_cancelling",
    "batch.keep_hours": (
        "tests/settings/test_settings_effects.py::test_batch_that_ended_is_removed_after_the_keep_hours"
    ),
    "worker.embedded": (
        "tests/worker/test_worker_process.py::test_worker_alone_runs_what_a_server_without_one_takes_in"
    ),
    "worker.nice": "tests/worker/test_worker_process.py::test_worker_alone_runs_what_a_server_without_one_takes_in",
    "deploy.question": "tests/deploy/test_rollout.py::test_empty_question_asks_nothing",
    "deploy.question_seconds": "tests/deploy/test_rollout.py::test_each_limit_of_a_roll_out_has_an_effect",
    "deploy.ready_seconds": "tests/deploy/test_rollout.py::test_each_limit_of_a_roll_out_has_an_effect",
    "deploy.watch_seconds": (
        "tests/deploy/test_rollout.py::test_deployment_that_does_not_work_is_taken_back_and_raises_an_alert"
    ),
    "deploy.pause_seconds": (
        "tests/release/test_prompt_server.py::test_code_rollout_is_reported_with_the_admin_key_and_shown"
    ),
    "deploy.settle_seconds": (
        "tests/release/test_release_worker.py::test_process_that_starts_as_another_version_pauses_decisions"
    ),
    "deploy.rollback": "tests/deploy/test_rollout.py::test_rollback_setting_off_leaves_the_new_one",
    "alerts.escalation.critical_minutes": "tests/alerts/test_alerting.py::test_escalation_is_as_set",
    "alerts.escalation.critical_times": "tests/alerts/test_alerting.py::test_escalation_is_as_set",
    "alerts.escalation.high_minutes": "tests/alerts/test_alerting.py::test_escalation_is_as_set",
    "alerts.escalation.high_times": "tests/alerts/test_alerting.py::test_escalation_is_as_set",
    "alerts.escalation.medium_minutes": "tests/alerts/test_alerting.py::test_escalation_is_as_set",
    "alerts.escalation.medium_times": "tests/alerts/test_alerting.py::test_escalation_is_as_set",
    "alerts.expire_hours": "tests/alerts/test_alerting.py::test_alert_that_nobody_raises_any_more_ends",
    "alerts.give_up_hours": "tests/alerts/test_alerting.py::test_message_is_given_up_after_its_time",
    "alerts.grounding_blocked": "tests/alerts/test_conditions.py::answers_that_are_blocked",
    "alerts.group_seconds": (
        "tests/alerts/test_alerting.py::test_alerts_of_one_kind_share_a_message_when_they_come_together"
    ),
    "alerts.keep_days": "tests/alerts/test_alerting.py::test_resolved_alerts_are_removed_after_their_days",
    "alerts.maintenance.days": "tests/alerts/test_alerting.py::test_maintenance_window_over_midnight",
    "alerts.maintenance.end": "tests/alerts/test_alerting.py::test_maintenance_window_over_midnight",
    "alerts.maintenance.kinds": "tests/alerts/test_alerting.py::test_maintenance_window_over_midnight",
    "alerts.maintenance.start": "tests/alerts/test_alerting.py::test_maintenance_window_over_midnight",
    "alerts.maintenance.zone": "tests/alerts/test_alerting.py::test_maintenance_window_over_midnight",
    "alerts.max_per_minute": (
        "tests/alerts/test_alerting.py::test_messages_of_a_minute_are_limited_and_the_rest_follows"
    ),
    "alerts.min_severity": "tests/alerts/test_alerting.py::test_less_severe_alerts_are_kept_and_not_sent",
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
    "alerts.send_seconds": "tests/alerts/test_alerting.py::test_hanging_channel_is_given_its_time",
    **PLUGIN_PROOFS,
}
