"""What reaches live traffic, and how: prompt versions, their checks, deployment and roll-back.

prompts.py          ProductionPromptManager: the prompt of a turn; deploys and rolls back
prompt_state.py     what a process serves, and its copy in the data folder for when the store is down
prompt_checks.py    what a version must pass before it is deployed
golden_questions.py the golden questions that the checks ask
prompt_versions.py  making and reading versions
prompt_files.py     versions as files, to be reviewed in git
experiments/        ProductionABTester: versions compared on live traffic; plan, assignment, sums, analysis, decision
jobs.py             ReleaseJobs: checks and deployments with golden questions, done in the worker process
monitor.py          ProductionPerformanceMonitor: figures, and a regression rolled back
orchestrator.py     ProductionIntegrationOrchestrator: all of it in one process, and the worker's part
"""
