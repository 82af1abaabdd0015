#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "GameFramework/Actor.h"
class UCameraComponent;
class ACameraActor : public AActor { public: UCameraComponent* GetCameraComponent() const; };
