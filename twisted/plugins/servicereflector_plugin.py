from twisted.application.service import ServiceMaker

serviceMaker = ServiceMaker(
    "Service-Reflector",
    "servicereflector.tap",
    "Mirror selected Kubernetes Services from other clusters into this one.",
    "service-reflector",
)
