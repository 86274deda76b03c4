BEGIN TRANSACTION;
CREATE TABLE tilores_alert_deliveries (
	id VARCHAR(64) NOT NULL, 
	channel VARCHAR(100) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	reason VARCHAR(16) NOT NULL, 
	escalation BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	message VARCHAR(64), 
	created_ms BIGINT NOT NULL, 
	due_ms BIGINT NOT NULL, 
	attempts BIGINT NOT NULL, 
	next_ms BIGINT NOT NULL, 
	ended_ms BIGINT, 
	error TEXT, 
	CONSTRAINT pk_tilores_alert_deliveries PRIMARY KEY (id)
);
INSERT INTO "tilores_alert_deliveries" VALUES('d1','slack','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','raised',0,'sent','m1',1790000000000,1790000000001,2,1790000000002,1790000000003,'ü');
CREATE TABLE tilores_alert_silences (
	id VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64), 
	kind VARCHAR(100), 
	severity VARCHAR(16), 
	source VARCHAR(100), 
	model VARCHAR(200), 
	spectrum VARCHAR(100), 
	starts_ms BIGINT NOT NULL, 
	ends_ms BIGINT, 
	until_clear BOOLEAN NOT NULL, 
	created_ms BIGINT NOT NULL, 
	owner VARCHAR(200) NOT NULL, 
	comment VARCHAR(500) NOT NULL, 
	CONSTRAINT pk_tilores_alert_silences PRIMARY KEY (id)
);
INSERT INTO "tilores_alert_silences" VALUES('s1',NULL,'quality.*',NULL,NULL,NULL,NULL,0,1790000000000,1,0,'desk','ü');
CREATE TABLE tilores_alerts (
	fingerprint VARCHAR(64) NOT NULL, 
	kind VARCHAR(100) NOT NULL, 
	severity VARCHAR(16) NOT NULL, 
	title VARCHAR(300) NOT NULL, 
	detail TEXT NOT NULL, 
	source VARCHAR(100) NOT NULL, 
	model VARCHAR(200), 
	spectrum VARCHAR(100), 
	prompt_version VARCHAR(200), 
	labels JSON NOT NULL, 
	figures JSON NOT NULL, 
	expires_after_ms BIGINT, 
	state VARCHAR(16) NOT NULL, 
	episode BIGINT NOT NULL, 
	raised BIGINT NOT NULL, 
	first_ms BIGINT NOT NULL, 
	last_ms BIGINT NOT NULL, 
	acknowledged_ms BIGINT, 
	acknowledged_by VARCHAR(200), 
	resolved_ms BIGINT, 
	settled BOOLEAN NOT NULL, 
	noticed_episode BIGINT NOT NULL, 
	noticed_ms BIGINT, 
	noticed_severity VARCHAR(16), 
	noticed_raised BIGINT NOT NULL, 
	escalation BIGINT NOT NULL, 
	escalated_ms BIGINT, 
	CONSTRAINT pk_tilores_alerts PRIMARY KEY (fingerprint)
);
INSERT INTO "tilores_alerts" VALUES('0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','model.down','CRITICAL','ü ''quoted'' ☎','two
lines','models','demo:simulated-1','billing','builtin-0','{"tier":"l2"}','{"rate":0.25}',300000,'acknowledged',2,5000000000,1790000000000,1790000000001,1790000000002,'desk',NULL,0,2,1790000000003,'HIGH',1,1,1790000000004);
CREATE TABLE tilores_audit (
	id VARCHAR(64) NOT NULL, 
	at_ms BIGINT NOT NULL, 
	actor VARCHAR(200) NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	subject VARCHAR(200) NOT NULL, 
	reason TEXT NOT NULL, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_tilores_audit PRIMARY KEY (id)
);
INSERT INTO "tilores_audit" VALUES('1790000000000000000-0123456789ab',1790000000008,'jo','prompts.deploy','prompts/production','weil ☎','{"from":null,"to":2,"checks":[{"check":"length","values":{"tokens":3.5}}]}');
INSERT INTO "tilores_audit" VALUES('0',0,'','x','','','{}');
CREATE TABLE tilores_batch_jobs (
	id VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	owner VARCHAR(200) NOT NULL, 
	fence BIGINT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	started_ms BIGINT, 
	ended_ms BIGINT, 
	lines BIGINT, 
	totals JSON NOT NULL, 
	options JSON NOT NULL, 
	error TEXT, 
	kind VARCHAR(16) DEFAULT 'batch' NOT NULL, 
	CONSTRAINT pk_tilores_batch_jobs PRIMARY KEY (id)
);
INSERT INTO "tilores_batch_jobs" VALUES('whole','done','desk',3,1790000000000,1790000000001,1790000009999,3000000000,'{"done":2,"cost":0.25}','{"model":"demo:simulated-1","nested":{"list":[1,null,"ü''\"\\"]}}','line 1: ''quoted''; "twice"
and on, ☎','prewarm');
INSERT INTO "tilores_batch_jobs" VALUES('bare','queued','',0,1790000000002,NULL,NULL,NULL,'{}','{}',NULL,'batch');
CREATE TABLE tilores_changes (
	topic VARCHAR(64) NOT NULL, 
	counter BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_changes PRIMARY KEY (topic)
);
INSERT INTO "tilores_changes" VALUES('batch',5000000000);
INSERT INTO "tilores_changes" VALUES('prompts',1);
CREATE TABLE tilores_collected_questions (
	run_id VARCHAR(64) NOT NULL, 
	at_ms BIGINT NOT NULL, 
	customer_id VARCHAR(500) NOT NULL, 
	question TEXT NOT NULL, 
	spectrum VARCHAR(64) NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	prompt_version VARCHAR(100) NOT NULL, 
	fields JSON NOT NULL, 
	abstained BOOLEAN NOT NULL, 
	score FLOAT NOT NULL, 
	CONSTRAINT pk_tilores_collected_questions PRIMARY KEY (run_id)
);
INSERT INTO "tilores_collected_questions" VALUES('0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f',1790000000000,'ü-1','How much?
☎','general','demo:simulated-1','1-0f','["größe"]',0,0.5);
CREATE TABLE tilores_evaluation_results (
	run_id VARCHAR(64) NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	question_id VARCHAR(200) NOT NULL, 
	spectrum VARCHAR(100) NOT NULL, 
	scores JSON NOT NULL, 
	judged FLOAT, 
	error VARCHAR(100), 
	input_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	cost FLOAT, 
	seconds FLOAT NOT NULL, 
	CONSTRAINT pk_tilores_evaluation_results PRIMARY KEY (run_id, model, question_id)
);
INSERT INTO "tilores_evaluation_results" VALUES('20260101-000000-abcdef','demo:simulated-1','credit_analysis.0123456789','credit_analysis','{"overall":0.875,"completeness":null}',0.9,NULL,5000000000,80,0.0125,1.5);
INSERT INTO "tilores_evaluation_results" VALUES('20260101-000000-abcdef','demo:ü','q','general','{}',NULL,'provider_unavailable',0,0,NULL,0.0);
CREATE TABLE tilores_evaluation_runs (
	id VARCHAR(64) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	created_ms BIGINT NOT NULL, 
	ended_ms BIGINT, 
	prompt_version VARCHAR(200) NOT NULL, 
	options JSON NOT NULL, 
	summary JSON NOT NULL, 
	CONSTRAINT pk_tilores_evaluation_runs PRIMARY KEY (id)
);
INSERT INTO "tilores_evaluation_runs" VALUES('20260101-000000-abcdef','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','done',1790000000000,1790000000001,'builtin-0','{"models":["demo:simulated-1"],"seed":0}','{"scores":{"overall":0.875,"completeness":null}}');
INSERT INTO "tilores_evaluation_runs" VALUES('bare','','running',0,NULL,'','{}','{}');
CREATE TABLE tilores_experiment_sums (
	experiment_id VARCHAR(64) NOT NULL, 
	step BIGINT NOT NULL, 
	arm VARCHAR(16) NOT NULL, 
	units FLOAT NOT NULL, 
	turns FLOAT NOT NULL, 
	errors FLOAT NOT NULL, 
	latency FLOAT NOT NULL, 
	latency_squares FLOAT NOT NULL, 
	cost FLOAT NOT NULL, 
	cost_squares FLOAT NOT NULL, 
	scored FLOAT NOT NULL, 
	score FLOAT NOT NULL, 
	score_squares FLOAT NOT NULL, 
	records FLOAT NOT NULL, 
	records_squares FLOAT NOT NULL, 
	score_records FLOAT NOT NULL, 
	excluded_fallback FLOAT NOT NULL, 
	excluded_unreliable FLOAT NOT NULL, 
	excluded_repeat FLOAT NOT NULL, 
	CONSTRAINT pk_tilores_experiment_sums PRIMARY KEY (experiment_id, step, arm)
);
INSERT INTO "tilores_experiment_sums" VALUES('kinder-2',0,'control',1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5,1.5);
CREATE TABLE tilores_experiments (
	id VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	"plan" JSON NOT NULL, 
	control BIGINT NOT NULL, 
	slice_first BIGINT NOT NULL, 
	slice_end BIGINT NOT NULL, 
	weights JSON NOT NULL, 
	step_ms BIGINT NOT NULL, 
	started_ms BIGINT NOT NULL, 
	ended_ms BIGINT, 
	outcome VARCHAR(32), 
	reason TEXT, 
	verdict JSON NOT NULL, 
	looks JSON NOT NULL, 
	CONSTRAINT pk_tilores_experiments PRIMARY KEY (id)
);
INSERT INTO "tilores_experiments" VALUES('kinder-1','kinder','ended','{"name":"kinder","candidate":2}',1099511627776,0,10000,'[0.01,0.5]',1780000000000,1780000000000,1780000100000,'kept','ü ☎','{"lift":0.01}','[{"lift":0.01}]');
INSERT INTO "tilores_experiments" VALUES('kinder-2','kinder','running','{"name":"kinder","candidate":3}',1,0,5000,'[0.5]',1780000000000,1780000000000,NULL,NULL,NULL,'{}','[]');
CREATE TABLE tilores_healing_episodes (
	id VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	diagnosis VARCHAR(32) NOT NULL, 
	subject VARCHAR(200) NOT NULL, 
	created_ms BIGINT NOT NULL, 
	ended_ms BIGINT, 
	body JSON NOT NULL, 
	CONSTRAINT pk_tilores_healing_episodes PRIMARY KEY (id)
);
INSERT INTO "tilores_healing_episodes" VALUES('episode-1','healed','model down','demo:simulated-1',1790000000000,1790000000001,'{"done":"ü"}');
INSERT INTO "tilores_healing_episodes" VALUES('episode-2','verifying','data drift','☎',1790000000002,NULL,'{}');
CREATE TABLE tilores_health_signals (
	kind VARCHAR(16) NOT NULL, 
	subject VARCHAR(200) NOT NULL, 
	value VARCHAR(256) NOT NULL, 
	start_ms BIGINT NOT NULL, 
	count BIGINT NOT NULL, 
	first_ms BIGINT NOT NULL, 
	last_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_health_signals PRIMARY KEY (kind, subject, value, start_ms)
);
INSERT INTO "tilores_health_signals" VALUES('field','demo','größe',1790000000000,5000000000,1790000000001,1790000000002);
CREATE TABLE tilores_improve_calls (
	cycle_id VARCHAR(64) NOT NULL, 
	subject VARCHAR(64) NOT NULL, 
	call VARCHAR(64) NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_tilores_improve_calls PRIMARY KEY (cycle_id, subject, call)
);
INSERT INTO "tilores_improve_calls" VALUES('cycle-2','reflection','0f-1','{"text":"☎"}');
CREATE TABLE tilores_improve_cycles (
	id VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	created_ms BIGINT NOT NULL, 
	ended_ms BIGINT, 
	options JSON NOT NULL, 
	phases JSON NOT NULL, 
	CONSTRAINT pk_tilores_improve_cycles PRIMARY KEY (id)
);
INSERT INTO "tilores_improve_cycles" VALUES('cycle-1','done',1790000000000,1790000000001,'{"strategy":"ü"}','{"baseline":{"overall":0.5}}');
INSERT INTO "tilores_improve_cycles" VALUES('cycle-2','running',1790000000002,NULL,'{}','{}');
CREATE TABLE tilores_improve_lessons (
	id VARCHAR(100) NOT NULL, 
	at_ms BIGINT NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_tilores_improve_lessons PRIMARY KEY (id)
);
INSERT INTO "tilores_improve_lessons" VALUES('cycle-1-0',1790000000003,'{"gain":0.25}');
CREATE TABLE tilores_leases (
	name VARCHAR(200) NOT NULL, 
	holder VARCHAR(200) NOT NULL, 
	fence BIGINT NOT NULL, 
	expires_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_leases PRIMARY KEY (name)
);
INSERT INTO "tilores_leases" VALUES('batch:äß','replica-1',5000000001,1790000000123);
INSERT INTO "tilores_leases" VALUES('prewarm','',7,0);
CREATE TABLE tilores_prompt_labels (
	name VARCHAR(64) NOT NULL, 
	number BIGINT NOT NULL, 
	previous JSON NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_prompt_labels PRIMARY KEY (name)
);
INSERT INTO "tilores_prompt_labels" VALUES('candidate',1,'[]',0);
INSERT INTO "tilores_prompt_labels" VALUES('production',5000000001,'[1,2,1]',1790000000007);
CREATE TABLE tilores_prompt_versions (
	number BIGINT NOT NULL, 
	parts JSON NOT NULL, 
	author VARCHAR(200) NOT NULL, 
	reason TEXT NOT NULL, 
	parent BIGINT, 
	scores JSON NOT NULL, 
	created_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_prompt_versions PRIMARY KEY (number)
);
INSERT INTO "tilores_prompt_versions" VALUES(5000000001,'{"role":"Du hilfst: ä\n\"ß\" {customer}","guidance.credit_analysis":""}','jo','kürzer
☎',1,'{"evaluation":{"score":0.875}}',1790000000006);
INSERT INTO "tilores_prompt_versions" VALUES(1,'{}','','',NULL,'{}',0);
CREATE TABLE tilores_quality_states (
	model VARCHAR(200) NOT NULL, 
	spectrum VARCHAR(64) NOT NULL, 
	prompt_version VARCHAR(100) NOT NULL, 
	state JSON NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_quality_states PRIMARY KEY (model, spectrum, prompt_version)
);
INSERT INTO "tilores_quality_states" VALUES('demo:simulated-1','billing','builtin-0','{"floors":{"target":{"floor":0.95,"count":3}},"ü":null}',1790000000005);
CREATE TABLE tilores_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT tilores_revision_pkc PRIMARY KEY (version_num)
);
INSERT INTO "tilores_revision" VALUES('0011');
CREATE TABLE tilores_score_log (
	id BIGINT NOT NULL, 
	at_ms BIGINT NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	spectrum VARCHAR(64) NOT NULL, 
	prompt_version VARCHAR(100) NOT NULL, 
	scores JSON NOT NULL, 
	CONSTRAINT pk_tilores_score_log PRIMARY KEY (id)
);
INSERT INTO "tilores_score_log" VALUES(1790000000006123456,1790000000006,'demo:simulated-1','billing','builtin-0','[0.5,1,0.987654321]');
CREATE TABLE tilores_score_windows (
	width_ms BIGINT NOT NULL, 
	start_ms BIGINT NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	spectrum VARCHAR(64) NOT NULL, 
	prompt_version VARCHAR(100) NOT NULL, 
	turns BIGINT NOT NULL, 
	errors BIGINT NOT NULL, 
	hits BIGINT NOT NULL, 
	windows BIGINT NOT NULL, 
	reached BIGINT NOT NULL, 
	overall_count FLOAT NOT NULL, 
	overall_sum FLOAT NOT NULL, 
	overall_squares FLOAT NOT NULL, 
	groundedness_count FLOAT NOT NULL, 
	groundedness_sum FLOAT NOT NULL, 
	groundedness_squares FLOAT NOT NULL, 
	abstention_count FLOAT NOT NULL, 
	abstention_sum FLOAT NOT NULL, 
	abstention_squares FLOAT NOT NULL, 
	format_count FLOAT NOT NULL, 
	format_sum FLOAT NOT NULL, 
	format_squares FLOAT NOT NULL, 
	latency_count FLOAT NOT NULL, 
	latency_sum FLOAT NOT NULL, 
	latency_squares FLOAT NOT NULL, 
	cost_count FLOAT NOT NULL, 
	cost_sum FLOAT NOT NULL, 
	cost_squares FLOAT NOT NULL, 
	feedback_count FLOAT NOT NULL, 
	feedback_sum FLOAT NOT NULL, 
	feedback_squares FLOAT NOT NULL, 
	CONSTRAINT pk_tilores_score_windows_by_time PRIMARY KEY (width_ms, start_ms, model, spectrum, prompt_version)
)
 WITHOUT ROWID

;
INSERT INTO "tilores_score_windows" VALUES(300000,1790000100000,'demo:simulated-1','general','ü-1',5000000000,5000000000,5000000000,5000000000,5000000000,3.0,2.75,2.5625,3.0,2.75,2.5625,3.0,2.75,2.5625,3.0,2.75,2.5625,3.0,2.75,2.5625,3.0,2.75,2.5625,3.0,2.75,2.5625);
CREATE TABLE tilores_waiting_feedback (
	id BIGINT NOT NULL, 
	run_id VARCHAR(64) NOT NULL, 
	score FLOAT NOT NULL, 
	at_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_waiting_feedback PRIMARY KEY (id)
);
INSERT INTO "tilores_waiting_feedback" VALUES(1790000000007000001,'0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f',-1.5,1790000000007);
CREATE TABLE tilores_warmed_entries (
	"key" VARCHAR(200) NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_warmed_entries PRIMARY KEY ("key")
);
INSERT INTO "tilores_warmed_entries" VALUES('answers:0f',1790000000003);
CREATE TABLE tilores_worker_reports (
	name VARCHAR(64) NOT NULL, 
	value JSON NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_worker_reports PRIMARY KEY (name)
);
INSERT INTO "tilores_worker_reports" VALUES('prewarm','{"ü":[1,null]}',1790000000004);
CREATE INDEX ix_tilores_audit_at_ms_id ON tilores_audit (at_ms, id);
CREATE INDEX ix_tilores_audit_subject_at_ms ON tilores_audit (subject, at_ms);
CREATE INDEX ix_tilores_experiments_state ON tilores_experiments (state);
CREATE INDEX ix_tilores_experiments_started_ms ON tilores_experiments (started_ms);
CREATE INDEX ix_tilores_alerts_settled ON tilores_alerts (settled);
CREATE INDEX ix_tilores_alerts_last_ms ON tilores_alerts (last_ms);
CREATE INDEX ix_tilores_alert_deliveries_fingerprint ON tilores_alert_deliveries (fingerprint);
CREATE INDEX ix_tilores_alert_deliveries_state_channel ON tilores_alert_deliveries (state, channel);
CREATE INDEX ix_tilores_alert_deliveries_ended_ms ON tilores_alert_deliveries (ended_ms);
CREATE INDEX ix_tilores_alert_silences_ends_ms ON tilores_alert_silences (ends_ms);
CREATE INDEX ix_tilores_collected_questions_customer_id ON tilores_collected_questions (customer_id);
CREATE INDEX ix_tilores_collected_questions_at_ms ON tilores_collected_questions (at_ms);
CREATE INDEX ix_tilores_evaluation_runs_digest ON tilores_evaluation_runs (digest);
CREATE INDEX ix_tilores_evaluation_runs_created_ms ON tilores_evaluation_runs (created_ms);
CREATE INDEX ix_tilores_score_windows_cell ON tilores_score_windows (model, spectrum, prompt_version, width_ms, start_ms);
CREATE INDEX ix_tilores_score_log_at_ms ON tilores_score_log (at_ms);
CREATE INDEX ix_tilores_waiting_feedback_at_ms ON tilores_waiting_feedback (at_ms);
CREATE INDEX ix_tilores_healing_episodes_created_ms ON tilores_healing_episodes (created_ms);
CREATE INDEX ix_tilores_improve_cycles_created_ms ON tilores_improve_cycles (created_ms);
CREATE INDEX ix_tilores_batch_jobs_created_ms_id ON tilores_batch_jobs (created_ms, id);
CREATE INDEX ix_tilores_batch_jobs_state ON tilores_batch_jobs (state);
CREATE INDEX ix_tilores_warmed_entries_changed_ms ON tilores_warmed_entries (changed_ms);
COMMIT;
