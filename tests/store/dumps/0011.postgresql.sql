--
-- PostgreSQL database dump
--

-- Dumped from database version 16.2
-- Dumped by pg_dump version 16.2

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: tilores_alert_deliveries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_alert_deliveries (
    id character varying(64) NOT NULL,
    channel character varying(100) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    reason character varying(16) NOT NULL,
    escalation bigint NOT NULL,
    state character varying(16) NOT NULL,
    message character varying(64),
    created_ms bigint NOT NULL,
    due_ms bigint NOT NULL,
    attempts bigint NOT NULL,
    next_ms bigint NOT NULL,
    ended_ms bigint,
    error text
);


--
-- Name: tilores_alert_silences; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_alert_silences (
    id character varying(64) NOT NULL,
    fingerprint character varying(64),
    kind character varying(100),
    severity character varying(16),
    source character varying(100),
    model character varying(200),
    spectrum character varying(100),
    starts_ms bigint NOT NULL,
    ends_ms bigint,
    until_clear boolean NOT NULL,
    created_ms bigint NOT NULL,
    owner character varying(200) NOT NULL,
    comment character varying(500) NOT NULL
);


--
-- Name: tilores_alerts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_alerts (
    fingerprint character varying(64) NOT NULL,
    kind character varying(100) NOT NULL,
    severity character varying(16) NOT NULL,
    title character varying(300) NOT NULL,
    detail text NOT NULL,
    source character varying(100) NOT NULL,
    model character varying(200),
    spectrum character varying(100),
    prompt_version character varying(200),
    labels json NOT NULL,
    figures json NOT NULL,
    expires_after_ms bigint,
    state character varying(16) NOT NULL,
    episode bigint NOT NULL,
    raised bigint NOT NULL,
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    acknowledged_ms bigint,
    acknowledged_by character varying(200),
    resolved_ms bigint,
    settled boolean NOT NULL,
    noticed_episode bigint NOT NULL,
    noticed_ms bigint,
    noticed_severity character varying(16),
    noticed_raised bigint NOT NULL,
    escalation bigint NOT NULL,
    escalated_ms bigint
);


--
-- Name: tilores_audit; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_audit (
    id character varying(64) NOT NULL,
    at_ms bigint NOT NULL,
    actor character varying(200) NOT NULL,
    action character varying(64) NOT NULL,
    subject character varying(200) NOT NULL,
    reason text NOT NULL,
    detail json NOT NULL
);


--
-- Name: tilores_batch_jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_batch_jobs (
    id character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    owner character varying(200) NOT NULL,
    fence bigint NOT NULL,
    created_ms bigint NOT NULL,
    started_ms bigint,
    ended_ms bigint,
    lines bigint,
    totals json NOT NULL,
    options json NOT NULL,
    error text,
    kind character varying(16) DEFAULT 'batch'::character varying NOT NULL
);


--
-- Name: tilores_changes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_changes (
    topic character varying(64) NOT NULL,
    counter bigint NOT NULL
);


--
-- Name: tilores_collected_questions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_collected_questions (
    run_id character varying(64) NOT NULL,
    at_ms bigint NOT NULL,
    customer_id character varying(500) NOT NULL,
    question text NOT NULL,
    spectrum character varying(64) NOT NULL,
    model character varying(200) NOT NULL,
    prompt_version character varying(100) NOT NULL,
    fields json NOT NULL,
    abstained boolean NOT NULL,
    score double precision NOT NULL
);


--
-- Name: tilores_evaluation_results; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_evaluation_results (
    run_id character varying(64) NOT NULL,
    model character varying(200) NOT NULL,
    question_id character varying(200) NOT NULL,
    spectrum character varying(100) NOT NULL,
    scores json NOT NULL,
    judged double precision,
    error character varying(100),
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost double precision,
    seconds double precision NOT NULL
);


--
-- Name: tilores_evaluation_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_evaluation_runs (
    id character varying(64) NOT NULL,
    digest character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    created_ms bigint NOT NULL,
    ended_ms bigint,
    prompt_version character varying(200) NOT NULL,
    options json NOT NULL,
    summary json NOT NULL
);


--
-- Name: tilores_experiment_sums; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_experiment_sums (
    experiment_id character varying(64) NOT NULL,
    step bigint NOT NULL,
    arm character varying(16) NOT NULL,
    units double precision NOT NULL,
    turns double precision NOT NULL,
    errors double precision NOT NULL,
    latency double precision NOT NULL,
    latency_squares double precision NOT NULL,
    cost double precision NOT NULL,
    cost_squares double precision NOT NULL,
    scored double precision NOT NULL,
    score double precision NOT NULL,
    score_squares double precision NOT NULL,
    records double precision NOT NULL,
    records_squares double precision NOT NULL,
    score_records double precision NOT NULL,
    excluded_fallback double precision NOT NULL,
    excluded_unreliable double precision NOT NULL,
    excluded_repeat double precision NOT NULL
);


--
-- Name: tilores_experiments; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_experiments (
    id character varying(64) NOT NULL,
    name character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    plan json NOT NULL,
    control bigint NOT NULL,
    slice_first bigint NOT NULL,
    slice_end bigint NOT NULL,
    weights json NOT NULL,
    step_ms bigint NOT NULL,
    started_ms bigint NOT NULL,
    ended_ms bigint,
    outcome character varying(32),
    reason text,
    verdict json NOT NULL,
    looks json NOT NULL
);


--
-- Name: tilores_healing_episodes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_healing_episodes (
    id character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    diagnosis character varying(32) NOT NULL,
    subject character varying(200) NOT NULL,
    created_ms bigint NOT NULL,
    ended_ms bigint,
    body json NOT NULL
);


--
-- Name: tilores_health_signals; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_health_signals (
    kind character varying(16) NOT NULL,
    subject character varying(200) NOT NULL,
    value character varying(256) NOT NULL,
    start_ms bigint NOT NULL,
    count bigint NOT NULL,
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL
);


--
-- Name: tilores_improve_calls; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_improve_calls (
    cycle_id character varying(64) NOT NULL,
    subject character varying(64) NOT NULL,
    call character varying(64) NOT NULL,
    body json NOT NULL
);


--
-- Name: tilores_improve_cycles; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_improve_cycles (
    id character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    created_ms bigint NOT NULL,
    ended_ms bigint,
    options json NOT NULL,
    phases json NOT NULL
);


--
-- Name: tilores_improve_lessons; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_improve_lessons (
    id character varying(100) NOT NULL,
    at_ms bigint NOT NULL,
    body json NOT NULL
);


--
-- Name: tilores_leases; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_leases (
    name character varying(200) NOT NULL,
    holder character varying(200) NOT NULL,
    fence bigint NOT NULL,
    expires_ms bigint NOT NULL
);


--
-- Name: tilores_prompt_labels; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_prompt_labels (
    name character varying(64) NOT NULL,
    number bigint NOT NULL,
    previous json NOT NULL,
    changed_ms bigint NOT NULL
);


--
-- Name: tilores_prompt_versions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_prompt_versions (
    number bigint NOT NULL,
    parts json NOT NULL,
    author character varying(200) NOT NULL,
    reason text NOT NULL,
    parent bigint,
    scores json NOT NULL,
    created_ms bigint NOT NULL
);


--
-- Name: tilores_quality_states; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_quality_states (
    model character varying(200) NOT NULL,
    spectrum character varying(64) NOT NULL,
    prompt_version character varying(100) NOT NULL,
    state json NOT NULL,
    changed_ms bigint NOT NULL
);


--
-- Name: tilores_revision; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_revision (
    version_num character varying(32) NOT NULL
);


--
-- Name: tilores_score_log; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_score_log (
    id bigint NOT NULL,
    at_ms bigint NOT NULL,
    model character varying(200) NOT NULL,
    spectrum character varying(64) NOT NULL,
    prompt_version character varying(100) NOT NULL,
    scores json NOT NULL
);


--
-- Name: tilores_score_windows; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_score_windows (
    width_ms bigint NOT NULL,
    start_ms bigint NOT NULL,
    model character varying(200) NOT NULL,
    spectrum character varying(64) NOT NULL,
    prompt_version character varying(100) NOT NULL,
    turns bigint NOT NULL,
    errors bigint NOT NULL,
    hits bigint NOT NULL,
    windows bigint NOT NULL,
    reached bigint NOT NULL,
    overall_count double precision NOT NULL,
    overall_sum double precision NOT NULL,
    overall_squares double precision NOT NULL,
    groundedness_count double precision NOT NULL,
    groundedness_sum double precision NOT NULL,
    groundedness_squares double precision NOT NULL,
    abstention_count double precision NOT NULL,
    abstention_sum double precision NOT NULL,
    abstention_squares double precision NOT NULL,
    format_count double precision NOT NULL,
    format_sum double precision NOT NULL,
    format_squares double precision NOT NULL,
    latency_count double precision NOT NULL,
    latency_sum double precision NOT NULL,
    latency_squares double precision NOT NULL,
    cost_count double precision NOT NULL,
    cost_sum double precision NOT NULL,
    cost_squares double precision NOT NULL,
    feedback_count double precision NOT NULL,
    feedback_sum double precision NOT NULL,
    feedback_squares double precision NOT NULL
);


--
-- Name: tilores_waiting_feedback; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_waiting_feedback (
    id bigint NOT NULL,
    run_id character varying(64) NOT NULL,
    score double precision NOT NULL,
    at_ms bigint NOT NULL
);


--
-- Name: tilores_warmed_entries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_warmed_entries (
    key character varying(200) NOT NULL,
    changed_ms bigint NOT NULL
);


--
-- Name: tilores_worker_reports; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_worker_reports (
    name character varying(64) NOT NULL,
    value json NOT NULL,
    changed_ms bigint NOT NULL
);


--
-- Data for Name: tilores_alert_deliveries; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_alert_deliveries VALUES ('d1', 'slack', '0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'raised', 0, 'sent', 'm1', 1790000000000, 1790000000001, 2, 1790000000002, 1790000000003, 'ü');


--
-- Data for Name: tilores_alert_silences; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_alert_silences VALUES ('s1', NULL, 'quality.*', NULL, NULL, NULL, NULL, 0, 1790000000000, true, 0, 'desk', 'ü');


--
-- Data for Name: tilores_alerts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_alerts VALUES ('0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'model.down', 'CRITICAL', 'ü ''quoted'' ☎', 'two
lines', 'models', 'demo:simulated-1', 'billing', 'builtin-0', '{"tier":"l2"}', '{"rate":0.25}', 300000, 'acknowledged', 2, 5000000000, 1790000000000, 1790000000001, 1790000000002, 'desk', NULL, false, 2, 1790000000003, 'HIGH', 1, 1, 1790000000004);


--
-- Data for Name: tilores_audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_audit VALUES ('1790000000000000000-0123456789ab', 1790000000008, 'jo', 'prompts.deploy', 'prompts/production', 'weil ☎', '{"from":null,"to":2,"checks":[{"check":"length","values":{"tokens":3.5}}]}');
INSERT INTO public.tilores_audit VALUES ('0', 0, '', 'x', '', '', '{}');


--
-- Data for Name: tilores_batch_jobs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_batch_jobs VALUES ('whole', 'done', 'desk', 3, 1790000000000, 1790000000001, 1790000009999, 3000000000, '{"done":2,"cost":0.25}', '{"model":"demo:simulated-1","nested":{"list":[1,null,"ü''\"\\"]}}', 'line 1: ''quoted''; "twice"
and on, ☎', 'prewarm');
INSERT INTO public.tilores_batch_jobs VALUES ('bare', 'queued', '', 0, 1790000000002, NULL, NULL, NULL, '{}', '{}', NULL, 'batch');


--
-- Data for Name: tilores_changes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_changes VALUES ('batch', 5000000000);
INSERT INTO public.tilores_changes VALUES ('prompts', 1);


--
-- Data for Name: tilores_collected_questions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_collected_questions VALUES ('0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 1790000000000, 'ü-1', 'How much?
☎', 'general', 'demo:simulated-1', '1-0f', '["größe"]', false, 0.5);


--
-- Data for Name: tilores_evaluation_results; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_evaluation_results VALUES ('20260101-000000-abcdef', 'demo:simulated-1', 'credit_analysis.0123456789', 'credit_analysis', '{"overall":0.875,"completeness":null}', 0.9, NULL, 5000000000, 80, 0.0125, 1.5);
INSERT INTO public.tilores_evaluation_results VALUES ('20260101-000000-abcdef', 'demo:ü', 'q', 'general', '{}', NULL, 'provider_unavailable', 0, 0, NULL, 0);


--
-- Data for Name: tilores_evaluation_runs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_evaluation_runs VALUES ('20260101-000000-abcdef', '0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'done', 1790000000000, 1790000000001, 'builtin-0', '{"models":["demo:simulated-1"],"seed":0}', '{"scores":{"overall":0.875,"completeness":null}}');
INSERT INTO public.tilores_evaluation_runs VALUES ('bare', '', 'running', 0, NULL, '', '{}', '{}');


--
-- Data for Name: tilores_experiment_sums; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_experiment_sums VALUES ('kinder-2', 0, 'control', 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5);


--
-- Data for Name: tilores_experiments; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_experiments VALUES ('kinder-1', 'kinder', 'ended', '{"name":"kinder","candidate":2}', 1099511627776, 0, 10000, '[0.01,0.5]', 1780000000000, 1780000000000, 1780000100000, 'kept', 'ü ☎', '{"lift":0.01}', '[{"lift":0.01}]');
INSERT INTO public.tilores_experiments VALUES ('kinder-2', 'kinder', 'running', '{"name":"kinder","candidate":3}', 1, 0, 5000, '[0.5]', 1780000000000, 1780000000000, NULL, NULL, NULL, '{}', '[]');


--
-- Data for Name: tilores_healing_episodes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_healing_episodes VALUES ('episode-1', 'healed', 'model down', 'demo:simulated-1', 1790000000000, 1790000000001, '{"done":"ü"}');
INSERT INTO public.tilores_healing_episodes VALUES ('episode-2', 'verifying', 'data drift', '☎', 1790000000002, NULL, '{}');


--
-- Data for Name: tilores_health_signals; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_health_signals VALUES ('field', 'demo', 'größe', 1790000000000, 5000000000, 1790000000001, 1790000000002);


--
-- Data for Name: tilores_improve_calls; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_improve_calls VALUES ('cycle-2', 'reflection', '0f-1', '{"text":"☎"}');


--
-- Data for Name: tilores_improve_cycles; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_improve_cycles VALUES ('cycle-1', 'done', 1790000000000, 1790000000001, '{"strategy":"ü"}', '{"baseline":{"overall":0.5}}');
INSERT INTO public.tilores_improve_cycles VALUES ('cycle-2', 'running', 1790000000002, NULL, '{}', '{}');


--
-- Data for Name: tilores_improve_lessons; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_improve_lessons VALUES ('cycle-1-0', 1790000000003, '{"gain":0.25}');


--
-- Data for Name: tilores_leases; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_leases VALUES ('batch:äß', 'replica-1', 5000000001, 1790000000123);
INSERT INTO public.tilores_leases VALUES ('prewarm', '', 7, 0);


--
-- Data for Name: tilores_prompt_labels; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_prompt_labels VALUES ('candidate', 1, '[]', 0);
INSERT INTO public.tilores_prompt_labels VALUES ('production', 5000000001, '[1,2,1]', 1790000000007);


--
-- Data for Name: tilores_prompt_versions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_prompt_versions VALUES (5000000001, '{"role":"Du hilfst: ä\n\"ß\" {customer}","guidance.credit_analysis":""}', 'jo', 'kürzer
☎', 1, '{"evaluation":{"score":0.875}}', 1790000000006);
INSERT INTO public.tilores_prompt_versions VALUES (1, '{}', '', '', NULL, '{}', 0);


--
-- Data for Name: tilores_quality_states; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_quality_states VALUES ('demo:simulated-1', 'billing', 'builtin-0', '{"floors":{"target":{"floor":0.95,"count":3}},"ü":null}', 1790000000005);


--
-- Data for Name: tilores_revision; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_revision VALUES ('0011');


--
-- Data for Name: tilores_score_log; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_score_log VALUES (1790000000006123456, 1790000000006, 'demo:simulated-1', 'billing', 'builtin-0', '[0.5,1,0.987654321]');


--
-- Data for Name: tilores_score_windows; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_score_windows VALUES (300000, 1790000100000, 'demo:simulated-1', 'general', 'ü-1', 5000000000, 5000000000, 5000000000, 5000000000, 5000000000, 3, 2.75, 2.5625, 3, 2.75, 2.5625, 3, 2.75, 2.5625, 3, 2.75, 2.5625, 3, 2.75, 2.5625, 3, 2.75, 2.5625, 3, 2.75, 2.5625);


--
-- Data for Name: tilores_waiting_feedback; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_waiting_feedback VALUES (1790000000007000001, '0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', -1.5, 1790000000007);


--
-- Data for Name: tilores_warmed_entries; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_warmed_entries VALUES ('answers:0f', 1790000000003);


--
-- Data for Name: tilores_worker_reports; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_worker_reports VALUES ('prewarm', '{"ü":[1,null]}', 1790000000004);


--
-- Name: tilores_alert_deliveries pk_tilores_alert_deliveries; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_alert_deliveries
    ADD CONSTRAINT pk_tilores_alert_deliveries PRIMARY KEY (id);


--
-- Name: tilores_alert_silences pk_tilores_alert_silences; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_alert_silences
    ADD CONSTRAINT pk_tilores_alert_silences PRIMARY KEY (id);


--
-- Name: tilores_alerts pk_tilores_alerts; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_alerts
    ADD CONSTRAINT pk_tilores_alerts PRIMARY KEY (fingerprint);


--
-- Name: tilores_audit pk_tilores_audit; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_audit
    ADD CONSTRAINT pk_tilores_audit PRIMARY KEY (id);


--
-- Name: tilores_batch_jobs pk_tilores_batch_jobs; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_batch_jobs
    ADD CONSTRAINT pk_tilores_batch_jobs PRIMARY KEY (id);


--
-- Name: tilores_changes pk_tilores_changes; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_changes
    ADD CONSTRAINT pk_tilores_changes PRIMARY KEY (topic);


--
-- Name: tilores_collected_questions pk_tilores_collected_questions; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_collected_questions
    ADD CONSTRAINT pk_tilores_collected_questions PRIMARY KEY (run_id);


--
-- Name: tilores_evaluation_results pk_tilores_evaluation_results; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_evaluation_results
    ADD CONSTRAINT pk_tilores_evaluation_results PRIMARY KEY (run_id, model, question_id);


--
-- Name: tilores_evaluation_runs pk_tilores_evaluation_runs; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_evaluation_runs
    ADD CONSTRAINT pk_tilores_evaluation_runs PRIMARY KEY (id);


--
-- Name: tilores_experiment_sums pk_tilores_experiment_sums; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_experiment_sums
    ADD CONSTRAINT pk_tilores_experiment_sums PRIMARY KEY (experiment_id, step, arm);


--
-- Name: tilores_experiments pk_tilores_experiments; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_experiments
    ADD CONSTRAINT pk_tilores_experiments PRIMARY KEY (id);


--
-- Name: tilores_healing_episodes pk_tilores_healing_episodes; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_healing_episodes
    ADD CONSTRAINT pk_tilores_healing_episodes PRIMARY KEY (id);


--
-- Name: tilores_health_signals pk_tilores_health_signals; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_health_signals
    ADD CONSTRAINT pk_tilores_health_signals PRIMARY KEY (kind, subject, value, start_ms);


--
-- Name: tilores_improve_calls pk_tilores_improve_calls; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_improve_calls
    ADD CONSTRAINT pk_tilores_improve_calls PRIMARY KEY (cycle_id, subject, call);


--
-- Name: tilores_improve_cycles pk_tilores_improve_cycles; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_improve_cycles
    ADD CONSTRAINT pk_tilores_improve_cycles PRIMARY KEY (id);


--
-- Name: tilores_improve_lessons pk_tilores_improve_lessons; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_improve_lessons
    ADD CONSTRAINT pk_tilores_improve_lessons PRIMARY KEY (id);


--
-- Name: tilores_leases pk_tilores_leases; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_leases
    ADD CONSTRAINT pk_tilores_leases PRIMARY KEY (name);


--
-- Name: tilores_prompt_labels pk_tilores_prompt_labels; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_prompt_labels
    ADD CONSTRAINT pk_tilores_prompt_labels PRIMARY KEY (name);


--
-- Name: tilores_prompt_versions pk_tilores_prompt_versions; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_prompt_versions
    ADD CONSTRAINT pk_tilores_prompt_versions PRIMARY KEY (number);


--
-- Name: tilores_quality_states pk_tilores_quality_states; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_quality_states
    ADD CONSTRAINT pk_tilores_quality_states PRIMARY KEY (model, spectrum, prompt_version);


--
-- Name: tilores_score_log pk_tilores_score_log; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_score_log
    ADD CONSTRAINT pk_tilores_score_log PRIMARY KEY (id);


--
-- Name: tilores_score_windows pk_tilores_score_windows_by_time; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_score_windows
    ADD CONSTRAINT pk_tilores_score_windows_by_time PRIMARY KEY (width_ms, start_ms, model, spectrum, prompt_version);


--
-- Name: tilores_waiting_feedback pk_tilores_waiting_feedback; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_waiting_feedback
    ADD CONSTRAINT pk_tilores_waiting_feedback PRIMARY KEY (id);


--
-- Name: tilores_warmed_entries pk_tilores_warmed_entries; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_warmed_entries
    ADD CONSTRAINT pk_tilores_warmed_entries PRIMARY KEY (key);


--
-- Name: tilores_worker_reports pk_tilores_worker_reports; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_worker_reports
    ADD CONSTRAINT pk_tilores_worker_reports PRIMARY KEY (name);


--
-- Name: tilores_revision tilores_revision_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_revision
    ADD CONSTRAINT tilores_revision_pkc PRIMARY KEY (version_num);


--
-- Name: ix_tilores_alert_deliveries_ended_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_alert_deliveries_ended_ms ON public.tilores_alert_deliveries USING btree (ended_ms);


--
-- Name: ix_tilores_alert_deliveries_fingerprint; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_alert_deliveries_fingerprint ON public.tilores_alert_deliveries USING btree (fingerprint);


--
-- Name: ix_tilores_alert_deliveries_state_channel; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_alert_deliveries_state_channel ON public.tilores_alert_deliveries USING btree (state, channel);


--
-- Name: ix_tilores_alert_silences_ends_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_alert_silences_ends_ms ON public.tilores_alert_silences USING btree (ends_ms);


--
-- Name: ix_tilores_alerts_last_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_alerts_last_ms ON public.tilores_alerts USING btree (last_ms);


--
-- Name: ix_tilores_alerts_settled; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_alerts_settled ON public.tilores_alerts USING btree (settled);


--
-- Name: ix_tilores_audit_at_ms_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_audit_at_ms_id ON public.tilores_audit USING btree (at_ms, id);


--
-- Name: ix_tilores_audit_subject_at_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_audit_subject_at_ms ON public.tilores_audit USING btree (subject, at_ms);


--
-- Name: ix_tilores_batch_jobs_created_ms_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_batch_jobs_created_ms_id ON public.tilores_batch_jobs USING btree (created_ms, id);


--
-- Name: ix_tilores_batch_jobs_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_batch_jobs_state ON public.tilores_batch_jobs USING btree (state);


--
-- Name: ix_tilores_collected_questions_at_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_collected_questions_at_ms ON public.tilores_collected_questions USING btree (at_ms);


--
-- Name: ix_tilores_collected_questions_customer_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_collected_questions_customer_id ON public.tilores_collected_questions USING btree (customer_id);


--
-- Name: ix_tilores_evaluation_runs_created_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_evaluation_runs_created_ms ON public.tilores_evaluation_runs USING btree (created_ms);


--
-- Name: ix_tilores_evaluation_runs_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_evaluation_runs_digest ON public.tilores_evaluation_runs USING btree (digest);


--
-- Name: ix_tilores_experiments_started_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_experiments_started_ms ON public.tilores_experiments USING btree (started_ms);


--
-- Name: ix_tilores_experiments_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_experiments_state ON public.tilores_experiments USING btree (state);


--
-- Name: ix_tilores_healing_episodes_created_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_healing_episodes_created_ms ON public.tilores_healing_episodes USING btree (created_ms);


--
-- Name: ix_tilores_improve_cycles_created_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_improve_cycles_created_ms ON public.tilores_improve_cycles USING btree (created_ms);


--
-- Name: ix_tilores_score_log_at_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_score_log_at_ms ON public.tilores_score_log USING btree (at_ms);


--
-- Name: ix_tilores_score_windows_cell; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_score_windows_cell ON public.tilores_score_windows USING btree (model, spectrum, prompt_version, width_ms, start_ms);


--
-- Name: ix_tilores_waiting_feedback_at_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_waiting_feedback_at_ms ON public.tilores_waiting_feedback USING btree (at_ms);


--
-- Name: ix_tilores_warmed_entries_changed_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_warmed_entries_changed_ms ON public.tilores_warmed_entries USING btree (changed_ms);


--
-- PostgreSQL database dump complete
--

