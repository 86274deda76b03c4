"""Improvement: find what is weak, improve it, prove it, keep what was learned. Nothing here invents a score.

analysis    training questions without customers' values, with the faults that follow from their scores
journal     every paid call of a cycle, kept before it counts; what may be spent
engine      `ContinuousOptimizationEngine`: candidates checked and scored by successive halving, strategies run under
            the rules that hold for all
learning    `LearningAccumulator`: what helped and what hurt; `SelfImprovingOptimizer`: apply that first, else explore
decision    held-out questions decide, always-valid; `AutomatedImprovementDeployment`: a version, and a guarded
            roll-out on live traffic
cycle       the six phases of a cycle, each kept in the store; `VirtuousCycleOrchestrator`: runs cycles, one at a time
report      a cycle as Markdown and as one HTML page; events as it happens
orchestrator  `ContinuousImprovementOrchestrator`: cycles triggered by breaches, within limits; pause and resume
"""
