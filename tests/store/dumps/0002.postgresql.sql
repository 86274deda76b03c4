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
-- Name: tilores_leases; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_leases (
    name character varying(200) NOT NULL,
    holder character varying(200) NOT NULL,
    fence bigint NOT NULL,
    expires_ms bigint NOT NULL
);


--
-- Name: tilores_revision; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tilores_revision (
    version_num character varying(32) NOT NULL
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
-- Data for Name: tilores_leases; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_leases VALUES ('batch:äß', 'replica-1', 5000000001, 1790000000123);
INSERT INTO public.tilores_leases VALUES ('prewarm', '', 7, 0);


--
-- Data for Name: tilores_revision; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_revision VALUES ('0002');


--
-- Data for Name: tilores_warmed_entries; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_warmed_entries VALUES ('answers:0f', 1790000000003);


--
-- Data for Name: tilores_worker_reports; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tilores_worker_reports VALUES ('prewarm', '{"ü":[1,null]}', 1790000000004);


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
-- Name: tilores_leases pk_tilores_leases; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tilores_leases
    ADD CONSTRAINT pk_tilores_leases PRIMARY KEY (name);


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
-- Name: ix_tilores_batch_jobs_created_ms_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_batch_jobs_created_ms_id ON public.tilores_batch_jobs USING btree (created_ms, id);


--
-- Name: ix_tilores_batch_jobs_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_batch_jobs_state ON public.tilores_batch_jobs USING btree (state);


--
-- Name: ix_tilores_warmed_entries_changed_ms; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tilores_warmed_entries_changed_ms ON public.tilores_warmed_entries USING btree (changed_ms);


--
-- PostgreSQL database dump complete
--

