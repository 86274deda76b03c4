"""The GraphQL documents that are sent to Railway; tests execute each against its types."""

from __future__ import annotations

from typing import Final

SCOPE: Final = """
query Scope { projectToken { projectId environmentId } }
"""

PROJECT: Final = """
query Project($projectId: String!) {
  project(id: $projectId) {
    id
    environments { edges { node { id name } } }
    services { edges { node { id name } } }
  }
}
"""

INSTANCE: Final = """
query Instance($projectId: String!, $environmentId: String!, $serviceId: String!) {
  serviceInstance(environmentId: $environmentId, serviceId: $serviceId) {
    startCommand healthcheckPath healthcheckTimeout overlapSeconds drainingSeconds numReplicas cronSchedule
    sleepApplication restartPolicyType dockerfilePath rootDirectory railwayConfigFile
    source { repo image }
  }
  domains(projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId) {
    serviceDomains { domain targetPort }
    customDomains { domain targetPort status { verified } }
  }
}
"""

VARIABLES: Final = """
query Variables($projectId: String!, $environmentId: String!, $serviceId: String!) {
  variables(projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId, unrendered: true)
  rendered: variablesForServiceDeployment(
    projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId
  )
}
"""

DEPLOYMENTS: Final = """
query Deployments(
  $input: DeploymentListInput!, $first: Int, $projectId: String!, $environmentId: String!, $serviceId: String!
) {
  deployments(input: $input, first: $first) {
    edges { node { id status createdAt canRollback } }
  }
  serviceInstance(environmentId: $environmentId, serviceId: $serviceId) { activeDeployments { id } }
  domains(projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId) {
    serviceDomains { domain targetPort }
    customDomains { domain targetPort status { verified } }
  }
}
"""

POLL: Final = """
query Poll($id: String!) {
  deployment(id: $id) { id status createdAt canRollback }
  deploymentEvents(id: $id, first: 20) { edges { node { step completedAt payload { error reason } } } }
}
"""

BUILD_LOG: Final = """
query BuildLog($id: String!, $limit: Int) {
  buildLogs(deploymentId: $id, limit: $limit) { timestamp severity message }
}
"""

RUN_LOG: Final = """
query RunLog($id: String!, $limit: Int) {
  deploymentLogs(deploymentId: $id, limit: $limit) { timestamp severity message }
}
"""

SET_VARIABLES: Final = """
mutation SetVariables($input: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $input) }
"""

DEPLOY: Final = """
mutation Deploy($serviceId: String!, $environmentId: String!) {
  serviceInstanceDeployV2(serviceId: $serviceId, environmentId: $environmentId)
}
"""

ROLLBACK: Final = """
mutation Rollback($id: String!) { deploymentRollback(id: $id) }
"""

ALL: Final = (
    SCOPE, PROJECT, INSTANCE, VARIABLES, DEPLOYMENTS, POLL, BUILD_LOG, RUN_LOG, SET_VARIABLES, DEPLOY, ROLLBACK
)  # fmt: skip
