"""Deployment: what is deployed, the checks that every platform shares, and a roll-out that goes back by itself."""

from tilores_core.deploy.project import make_project as make_project
from tilores_core.deploy.rollout import Journal as Journal, Rollout as Rollout
